import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganforge.networks.dcgan import DCGANDiscriminator, DCGANGenerator, channel_plan


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("width", [4, 6])
def test_shapes_and_ranges(size, channels, width):
    torch.manual_seed(0)
    images = DCGANGenerator(7, channels, size, width)(torch.randn(2, 7))
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    assert DCGANDiscriminator(channels, size, width)(images).shape == (2, 1)


def test_channels_double_at_every_halving():
    assert channel_plan(32, 64) == [64, 128, 256]
    assert channel_plan(64, 64) == [64, 128, 256, 512]
    assert channel_plan(128, 10) == [10, 20, 40, 80, 160]


@pytest.mark.parametrize("size", [28, 0, 16, 48, 256])
@pytest.mark.parametrize("build", [DCGANDiscriminator, lambda c, s: DCGANGenerator(9, c, s)])
def test_other_sizes_are_refused_in_a_sentence(size, build):
    with pytest.raises(ValueError, match=rf"32, 64, 128, not {size}: .*choose model=gan"):
        build(1, size)


def test_parameter_counts_by_hand():
    """The tutorial's 64×64 networks, plus the biases that theirs leave out."""
    convolutions = 16 * (100 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 3)
    batch_norms = 2 * (512 + 256 + 128 + 64)
    assert convolutions + batch_norms == 3_576_704
    assert count(DCGANGenerator(100, 3, 64, 64)) == 3_576_704 + 3

    convolutions = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 1)
    batch_norms = 2 * (128 + 256 + 512)
    assert convolutions + batch_norms == 2_765_568
    biases = 64 + 128 + 256 + 512 + 1
    assert count(DCGANDiscriminator(3, 64, 64)) == 2_765_568 + biases


def test_initialisation():
    torch.manual_seed(0)
    for network in (DCGANGenerator(100, 3, 64, 32), DCGANDiscriminator(3, 64, 32)):
        convolutions = [
            m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
        ]
        weights = torch.cat([m.weight.flatten() for m in convolutions])
        # Some 7·10⁵ draws: the mean's deviation is 2.4e-5, the deviation's 1.7e-5.
        assert weights.mean().item() == pytest.approx(0, abs=1.2e-4)
        assert weights.std().item() == pytest.approx(0.02, abs=1e-4)
        assert all(m.bias is None or not m.bias.any() for m in convolutions)
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        scales = torch.cat([m.weight for m in norms])
        assert scales.mean().item() == pytest.approx(1, abs=0.005)
        assert scales.std().item() == pytest.approx(0.02, abs=0.005)
        assert not any(m.bias.any() for m in norms)


def test_no_batch_norm_where_images_enter_and_leave():
    generator = [type(m) for m in DCGANGenerator(5, 3, 32, 4).layers]
    assert generator == [
        *[nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU] * 3,
        *[nn.ConvTranspose2d, nn.Tanh],
    ]
    discriminator = [type(m) for m in DCGANDiscriminator(3, 32, 4).layers]
    assert discriminator == [
        *[nn.Conv2d, nn.LeakyReLU],
        *[nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 2,
        *[nn.Conv2d, nn.Flatten],
    ]


def test_leaky_slope():
    slopes = [
        m.negative_slope
        for m in DCGANDiscriminator(3, 32, 4).layers.modules()
        if isinstance(m, nn.LeakyReLU)
    ]
    assert slopes == [0.2] * 3


def test_another_norm_replaces_batch_norm():
    network = DCGANDiscriminator(3, 32, 4, norm=nn.Identity)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


def test_spectral_norm_bounds_every_convolution():
    torch.manual_seed(0)
    network = DCGANDiscriminator(3, 32, 8, norm=nn.Identity, weight_norm=spectral_norm)
    for _ in range(60):
        network(torch.randn(2, 3, 32, 32))
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 4
    for convolution in convolutions:
        largest = torch.linalg.matrix_norm(convolution.weight.flatten(1), 2)
        assert largest.item() == pytest.approx(1, abs=0.02)


def test_spectral_norm_keeps_the_initial_direction():
    """Wrapping comes after N(0, 0.02): the raw weights are what was drawn."""
    torch.manual_seed(0)
    network = DCGANDiscriminator(3, 32, 32, norm=nn.Identity, weight_norm=spectral_norm)
    raw = network.layers[2].parametrizations.weight.original
    assert raw.std().item() == pytest.approx(0.02, abs=5e-4)


def test_critic_without_batch_norm_scores_samples_one_by_one():
    """What the gradient penalty stands on."""
    torch.manual_seed(0)
    network = DCGANDiscriminator(1, 32, 4, norm=nn.Identity)
    images = torch.randn(3, 1, 32, 32)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), alone, atol=1e-6, rtol=1e-4)
