"""Spectral norm goes around every critic; layers only where there is a place for them."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganforge.networks.conditional import Projection
from ganforge.networks.dcgan import DCGANDiscriminator
from ganforge.networks.mlp import MLPDiscriminator
from ganforge.networks.patchgan import PatchGAN
from ganforge.networks.r3gan import R3GANDiscriminator
from ganforge.networks.sngan import SNGANDiscriminator

# How a critic of 32×32 images is made, and how many layers with weights it has.
CRITICS = {
    "mlp": (lambda **o: MLPDiscriminator([3, 32, 32], [8, 6], **o), 3),
    "dcgan": (lambda **o: DCGANDiscriminator(3, 32, 4, **{"norm": nn.Identity, **o}), 4),
    "sngan": (lambda **o: SNGANDiscriminator(3, 32, 2, **o), 11),
    "patchgan": (lambda **o: PatchGAN(3, 4, 2, **{"norm": nn.Identity, **o}), 4),
    # The way in, two changes of width, 4 maps × 2 blocks × 3 layers, the gathering one, the last.
    "r3gan": (lambda **o: R3GANDiscriminator(3, 32, 8, **o), 1 + 2 + 24 + 1 + 1),
}


@pytest.mark.parametrize("name", CRITICS)
def test_spectral_norm_is_around_every_weight(name):
    """After enough power iterations the largest singular value of every weight is 1."""
    torch.manual_seed(0)
    make, count = CRITICS[name]
    critic = make(weight_norm=spectral_norm)
    weighed = [m for m in critic.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighed) == count
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        for _ in range(100):
            logits = critic(images)
    assert logits.isfinite().all()
    for layer in weighed:
        value = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item()
        assert value == pytest.approx(1, rel=0.02), layer


@pytest.mark.parametrize("name", CRITICS)
def test_without_it_the_weights_are_what_they_were(name):
    """A critic's own draw does not depend on the choice, but for R3GAN's zeros."""
    make, _ = CRITICS[name]
    torch.manual_seed(3)
    plain = make()
    torch.manual_seed(3)
    wrapped = make(weight_norm=spectral_norm)
    given = dict(wrapped.named_parameters())
    for key, value in plain.named_parameters():
        scaled = given.get(key.removesuffix("weight") + "parametrizations.weight.original")
        if value.any():
            torch.testing.assert_close(given[key] if scaled is None else scaled, value)


@pytest.mark.parametrize("name", ["mlp", "r3gan"])
def test_layers_are_refused_where_there_is_no_place_for_them(name):
    make, _ = CRITICS[name]
    with pytest.raises(ValueError, match="no place for BatchNorm2d layers: choose norm=none"):
        make(norm=nn.BatchNorm2d)


@pytest.mark.parametrize("name", ["mlp", "dcgan", "sngan", "r3gan"])
def test_a_head_is_wrapped_as_well(name):
    make, _ = CRITICS[name]
    critic = make(weight_norm=spectral_norm, head=lambda width: Projection(width, 3))
    assert hasattr(critic.head.embedding, "parametrizations")
    labels = torch.tensor([0, 2])
    assert critic(torch.randn(2, 3, 32, 32), labels).isfinite().all()


@pytest.mark.parametrize(
    "critic",
    [
        DCGANDiscriminator(3, 32, 4),
        SNGANDiscriminator(3, 32, 4),
        R3GANDiscriminator(3, 32, 16, 1),
        MLPDiscriminator((3, 32, 32), [8]),
        PatchGAN(3, 4, 2),
        PatchGAN(3, 4, 2, weight_norm=spectral_norm),
    ],
    ids=lambda critic: type(critic).__name__,
)
def test_logits_keep_their_digits_under_autocast(critic):
    """The last layer is computed in fp32: bf16 knows no number between 1 and 1.0078."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = critic(torch.randn(8, 3, 32, 32))
    assert logits.dtype == torch.float32
    assert (logits != logits.bfloat16().float()).float().mean() > 0.5


def test_an_affine_instance_norm_starts_as_batch_norm_does():
    torch.manual_seed(0)
    critic = PatchGAN(3, 64, 3, norm=partial(nn.InstanceNorm2d, affine=True))
    scales = torch.cat([m.weight for m in critic.modules() if isinstance(m, nn.InstanceNorm2d)])
    assert scales.mean().item() == pytest.approx(1, abs=0.01)
    assert scales.std().item() == pytest.approx(0.02, rel=0.1)
