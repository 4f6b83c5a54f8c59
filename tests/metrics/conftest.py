import pytest
import torch

from ganforge.metrics.features import Features, check_images


class PixelMoments:
    """A tiny extractor with exact arithmetic: 12 features and 5 logits, linear in the pixels."""

    name = "pixels"
    sha256 = "0" * 64
    size = 8
    resize = "none"
    dim = 12

    def __init__(self):
        rng = torch.Generator().manual_seed(0)
        self.project = torch.randn(3 * 8 * 8, self.dim, generator=rng) / 14
        self.classify = torch.randn(self.dim, 5, generator=rng)
        self.calls = 0

    def to(self, device):
        return self

    def __call__(self, images):
        self.calls += 1
        features = (check_images(images).flatten(1).float() / 127.5 - 1) @ self.project
        return Features(features, features @ self.classify)


@pytest.fixture
def extractor():
    return PixelMoments()


def make_images(count, seed, low=0, high=256):
    rng = torch.Generator().manual_seed(seed)
    return torch.randint(low, high, (count, 3, 8, 8), generator=rng, dtype=torch.uint8)


@pytest.fixture
def images():
    return make_images
