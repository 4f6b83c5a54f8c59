import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.testing import assert_close

from ganforge.networks.frugal import (
    EnlargingConv2d,
    FrugalDiscriminator,
    FrugalGenerator,
    MinibatchDeviation,
    Modulated,
    channel_plan,
)


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("size", [32, 64, 128, 256, 512])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_ranges(size, channels):
    torch.manual_seed(0)
    images = FrugalGenerator(7, channels, size, 2)(torch.randn(2, 7))
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    assert FrugalDiscriminator(channels, size, 2)(images).shape == (2, 1)


def test_channels_double_at_every_halving_up_to_eight_widths():
    assert channel_plan(32, 32) == [32, 64, 128]
    assert channel_plan(64, 10) == [10, 20, 40, 80]
    assert channel_plan(512, 4) == [4, 8, 16, 32, 32, 32, 32]


@pytest.mark.parametrize("size", [28, 0, 16, 48, 1024])
@pytest.mark.parametrize("build", [FrugalDiscriminator, lambda c, s: FrugalGenerator(9, c, s)])
def test_other_sizes_are_refused_in_a_sentence(size, build):
    with pytest.raises(ValueError, match=rf"64, 128, 256, 512, not {size}: .*choose model=gan"):
        build(1, size)


def test_parameter_counts_by_hand():
    mapping = (100 * 128 + 128) + (128 * 128 + 128)
    convolutions = 128 * 128 * 16 + 9 * (128 * 64 + 64 * 32) + (9 * 32 * 12 + 12)
    norms = (2 + 2 * 128 + 2) * (128 + 64 + 32)  # their own scale and shift, and the latents'
    assert count(FrugalGenerator(100, 3, 32, 32)) == mapping + convolutions + norms

    down = 16 * (3 * 32 + 32 * 64 + 64 * 127) + 32 + 64 + 127
    assert count(FrugalDiscriminator(3, 32, 32)) == down + (9 * 128**2 + 128) + (16 * 128 + 1)


def test_the_deviation_of_neighbours_by_hand():
    x = torch.tensor([1.0, 3.0, 5.0, 5.0]).view(4, 1, 1, 1).expand(4, 2, 3, 3)
    out = MinibatchDeviation(group=2)(x)
    assert out.shape == (4, 3, 3, 3)
    assert_close(out[:, :2], x)
    assert_close(out[:2, 2], torch.ones(2, 3, 3))
    assert_close(out[2:, 2], torch.full((2, 3, 3), 1e-4))
    odd = MinibatchDeviation(group=2)(x[:3])  # 1, 3, 5 as one group
    assert_close(odd[:, 2], torch.full((3, 3, 3), (8 / 3) ** 0.5))


def test_the_critic_sees_that_images_are_all_alike():
    torch.manual_seed(0)
    critic = FrugalDiscriminator(3, 32, 4)
    image = torch.randn(1, 3, 32, 32)
    others = torch.cat([image, torch.randn(7, 3, 32, 32)])
    assert (critic(image.expand(8, -1, -1, -1))[0] - critic(others)[0]).abs() > 1e-3


def test_enlarging_convolves_repeated_pixels():
    torch.manual_seed(0)
    x, layer = torch.randn(2, 3, 5, 4), EnlargingConv2d(3, 2)
    repeated = F.interpolate(x, scale_factor=2)
    assert_close(layer(x), F.conv2d(repeated, layer.weight.transpose(0, 1), padding=1))


def test_latents_scale_and_shift_whole_channels_after_the_norm():
    layer = Modulated(nn.Identity(), 2, 1)
    layer.style.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    layer.style.bias.data.zero_()
    x = torch.tensor([1.0, -2.0]).view(1, 1, 1, 2)
    made = layer(x, torch.tensor([[0.5, 4.0]]), None)
    assert_close(made, torch.tensor([5.5, 1.0]).view(1, 1, 1, 2))
    assert_close(layer(x, torch.zeros(1, 2), None), torch.tensor([1.0, 0.0]).view(1, 1, 1, 2))


def test_the_four_pixels_of_a_place_start_alike():
    """No lattice to begin with."""
    torch.manual_seed(0)
    images = FrugalGenerator(5, 3, 32, 4)(torch.randn(4, 5))
    assert images.std() > 0.01
    assert_close(images[..., ::2, ::2], images[..., 1::2, 1::2])
    assert_close(images[..., ::2, ::2], images[..., ::2, 1::2])


def test_every_weight_learns_and_fp32_logits_under_bf16():
    torch.manual_seed(0)
    generator, critic = FrugalGenerator(5, 3, 32, 4), FrugalDiscriminator(3, 32, 4)
    with torch.autocast("cpu", torch.bfloat16):
        logits = critic(generator(torch.randn(8, 5)))
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    for network in (generator, critic):
        for name, parameter in network.named_parameters():
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.any(), name


def test_spectral_norm_and_layers_are_taken():
    torch.manual_seed(0)
    critic = FrugalDiscriminator(3, 32, 8, nn.BatchNorm2d, spectral_norm)
    for _ in range(80):
        critic(torch.randn(2, 3, 32, 32))
    convolutions = [m for m in critic.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 5
    assert sum(isinstance(m, nn.BatchNorm2d) for m in critic.modules()) == 2
    for convolution in convolutions:
        largest = torch.linalg.matrix_norm(convolution.weight.flatten(1), 2)
        assert largest.item() == pytest.approx(1, abs=0.03)


def test_initialisation_keeps_the_scale():
    """He et al. 2015 for a slope of 0.2: what goes in with deviation 1 comes out of its order."""
    torch.manual_seed(0)
    logits = FrugalDiscriminator(3, 32, 32)(torch.randn(64, 3, 32, 32))
    assert 0.1 < logits.std() < 10
