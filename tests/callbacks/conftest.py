import pytest
import torch

from ganforge.callbacks.image_quality import ImageQuality
from ganforge.metrics.features import Features
from ganforge.metrics.protocol import Protocol, Score
from ganforge.metrics.scores import FID


class Pixels:
    """Every eighth pixel as a feature, and the first five as logits."""

    name, sha256, size, resize, dim = "pixels", "0" * 64, 8, "none", 8

    def to(self, device):
        return self

    def __call__(self, images):
        pixels = images.flatten(1).float() / 255
        return Features(pixels[:, ::8], pixels[:, :5])


@pytest.fixture
def image_quality(tmp_path):
    """Make an image quality callback over eight pixels."""

    def make(folder=tmp_path, metrics=None, **options):
        options = {"every_n_steps": 2, "n_images": 24, **options}
        return ImageQuality(Pixels(), folder / "scores.json", None, metrics or [FID()], **options)

    return make


@pytest.fixture
def fake_score():
    """Make a score of a value at a step."""

    def make(value, step, metric="fid"):
        protocol = Protocol("pixels", "0" * 64, "none", n_fake=24, ema=False)
        return Score(metric, value, protocol, step=step)

    return make


@pytest.fixture
def weights():
    """Copy all parameters and buffers of a module."""
    return lambda module: {k: v.detach().clone() for k, v in module.state_dict().items()}


@pytest.fixture
def assert_same_weights():
    def check(a, b):
        assert a.keys() == b.keys()
        for name in a:
            torch.testing.assert_close(a[name], b[name], rtol=0, atol=0)

    return check
