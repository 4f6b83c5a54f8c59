"""The residual networks of SNGAN, WGAN-GP and R3GAN."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.losses.adversarial import Relativistic
from ganforge.networks.r3gan import (
    R3GANDiscriminator,
    R3GANGenerator,
    channel_plan,
)
from ganforge.networks.sngan import (
    DownBlock,
    MeanPool,
    SNGANDiscriminator,
    SNGANGenerator,
    SumPool,
)


def count(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_sngan_shapes(size, channels):
    images = SNGANGenerator(6, channels, size, 2)(torch.randn(2, 6))
    assert images.shape == (2, channels, size, size)
    assert images.abs().max() <= 1
    assert SNGANDiscriminator(channels, size, 2)(images).shape == (2, 1)


@pytest.mark.parametrize("size", [8, 32, 64, 128])
def test_r3gan_shapes(size):
    images = R3GANGenerator(6, 3, size, 8, 1)(torch.randn(2, 6))
    assert images.shape == (2, 3, size, size)
    assert R3GANDiscriminator(3, size, 8, 1)(images).shape == (2, 1)


def test_sngan_parameters_by_hand():
    """Table 3 of the paper, 32 pixels: maps of 256 in G and of 128 in D."""
    conv = lambda i, o, k: i * o * k * k + o  # noqa: E731
    block = 2 * conv(256, 256, 3) + conv(256, 256, 1) + 2 * 2 * 256
    by_hand = (128 * 4096 + 4096) + 3 * block + 2 * 256 + conv(256, 3, 3)
    assert count(SNGANGenerator(128, 3, 32, 64)) == by_hand
    first = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
    down = 2 * conv(128, 128, 3) + conv(128, 128, 1)
    flat = 2 * conv(128, 128, 3)
    assert count(SNGANDiscriminator(3, 32, 64)) == first + down + 2 * flat + 128 + 1


def test_resized_skips_equal_the_paper_order():
    """Pooling before a 1×1 convolution gives what pooling after it gives."""
    block = DownBlock(3, 5, down=True, first=True)
    x = torch.randn(2, 3, 8, 8)
    pool, convolution = block.skip
    assert_close(convolution(pool(x)), pool(convolution(x)), rtol=1e-4, atol=1e-5)


def test_pools_by_hand():
    x = torch.arange(8.0).view(1, 2, 2, 2)
    assert_close(SumPool()(x), torch.tensor([[6.0, 22.0]]))
    assert_close(MeanPool()(x), torch.tensor([[1.5, 5.5]]))


def test_a_norm_goes_before_each_relu_of_the_blocks():
    discriminator = SNGANDiscriminator(3, 32, 2, norm=nn.BatchNorm2d)
    layers = [m for m in discriminator.modules() if not list(m.children())]
    kinds = [type(m) for m in layers if isinstance(m, nn.BatchNorm2d | nn.ReLU)]
    assert kinds == [nn.BatchNorm2d, nn.ReLU] * 7 + [nn.ReLU]
    assert discriminator(torch.randn(2, 3, 32, 32)).shape == (2, 1)


@pytest.mark.parametrize("size", [28, 48, 256])
def test_sngan_refuses_other_sizes_in_a_sentence(size):
    with pytest.raises(ValueError, match=rf"32, 64, 128, not {size}: set data.size"):
        SNGANGenerator(6, 3, size)
    with pytest.raises(ValueError, match=rf"not {size}"):
        SNGANDiscriminator(3, size)


def test_r3gan_has_no_norm_and_grouped_convolutions():
    for network in (R3GANGenerator(6, 3, 32, 16), R3GANDiscriminator(3, 32, 16)):
        assert not any("Norm" in type(m).__name__ for m in network.modules())
        grouped = [m for m in network.modules() if getattr(m, "kernel_size", None) == (3, 3)]
        assert len(grouped) == 8  # two blocks at 4, 8, 16 and 32 pixels
        assert all(m.in_channels // m.groups == 16 for m in grouped)


def test_r3gan_widths_double_up_to_four_times():
    assert channel_plan(32, 8) == [8, 16, 32, 32]
    assert channel_plan(128, 8) == [8, 16, 32, 32, 32, 32]
    with pytest.raises(ValueError, match="power of two from 8 to 1024, not 48"):
        channel_plan(48, 8)


def test_r3gan_residual_branches_start_at_zero():
    """Fix-up: at the start a block passes its input through, whatever the depth."""
    shallow, deep = (R3GANDiscriminator(3, 32, 8, blocks) for blocks in (1, 3))
    blocks = [
        m for d in (shallow, deep) for m in d.modules() if type(m).__name__ == "ResidualBlock"
    ]
    x = torch.randn(2, 8, 4, 4)
    for block in blocks:
        if block.body[0].in_channels == 8:
            assert_close(block(x), x)


def test_r3gan_inner_weights_shrink_with_depth():
    """L^(-1/4): 4 blocks against 64 halve the deviation."""
    torch.manual_seed(0)

    def deviation(blocks):
        layer = R3GANGenerator(6, 3, 32, 16, blocks).body[0].body[0]
        return layer.weight.std().item()

    assert deviation(1) / deviation(16) == pytest.approx(2, rel=0.05)


def test_r3gan_refuses_groups_that_do_not_fit():
    with pytest.raises(ValueError, match="have 24 channels"):
        R3GANGenerator(6, 3, 32, 12)


@pytest.mark.parametrize("pool", [SumPool(), MeanPool()])
def test_the_last_layer_is_drawn_as_glorot_and_bengio_do(pool):
    """Uniform within √(6 / (inputs + 1)), as in the code of both papers; biases are 0."""
    torch.manual_seed(0)
    last = SNGANDiscriminator(3, 64, 64, pool=pool).last
    bound = (6 / (1024 + 1)) ** 0.5
    assert last.weight.abs().max().item() == pytest.approx(bound, rel=0.02)
    assert last.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.06)
    assert last.bias.item() == 0


def test_r3gan_changes_widths_before_it_enlarges_and_draws_the_same():
    """A 1×1 convolution and bilinear resizing commute: a quarter of the work."""
    torch.manual_seed(0)
    generator = R3GANGenerator(6, 3, 32, 16, 1)
    layers = list(generator.body)
    changes = [i for i, m in enumerate(layers) if isinstance(m, nn.Conv2d)]
    assert [type(layers[i + 1]) for i in changes] == [nn.Upsample] * 2
    z = torch.randn(2, 6)
    found = generator(z)
    for i in changes:
        layers[i : i + 2] = [layers[i + 1], layers[i]]
    generator.body = nn.Sequential(*layers)
    assert_close(generator(z), found, rtol=1e-4, atol=1e-5)


def test_r3gan_has_no_weight_that_its_loss_cannot_move():
    critic = R3GANDiscriminator(3, 8, 16, 1)
    for block in critic.modules():
        if type(block).__name__ == "ResidualBlock":
            nn.init.normal_(block.body[4].weight)
    real, fake = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    Relativistic().discriminator(critic(real), critic(fake)).backward()
    assert all(p.grad.abs().max() > 1e-7 for p in critic.parameters())
