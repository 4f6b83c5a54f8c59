import pytest
import torch
from torch import nn
from torch.testing import assert_close

from ganforge.networks.patchgan import PatchGAN
from ganforge.networks.resnet import ResidualBlock, ResnetEditor, ResnetGenerator
from ganforge.networks.unet import UNetGenerator
from ganforge.utils.images import to_uint8


def parameters(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 64), (36, 20)])
def test_a_translator_keeps_the_size(height, width):
    network = ResnetGenerator(1, 3, width=4, blocks=1)
    out = network(torch.rand(2, 1, height, width))
    assert out.shape == (2, 3, height, width)
    assert out.abs().max() <= 1


def test_the_paper_s_networks_have_the_reference_s_size():
    """Counts of the reference implementation, less its biases before norms (they do nothing)."""
    weights = 3 * 49 * 64 + 64 * 9 * 128 + 128 * 9 * 256 + 18 * 256 * 9 * 256
    weights += 256 * 9 * 128 + 128 * 9 * 64 + 64 * 49 * 3 + 3
    assert parameters(ResnetGenerator(3, 3, 64, 9)) == weights
    assert parameters(PatchGAN(3)) == 2_764_737


def test_a_batch_gives_what_its_images_give_alone():
    """This is why translation and identity may share one pass."""
    network = ResnetGenerator(3, 3, width=8, blocks=2)
    one, other = torch.randn(1, 3, 16, 16), 5 * torch.randn(1, 3, 16, 16)
    together = network(torch.cat([one, other]))
    assert_close(together, torch.cat([network(one), network(other)]), rtol=1e-4, atol=1e-5)


def test_dropout_is_there_only_where_asked():
    def dropouts(network):
        return [part for part in network.modules() if isinstance(part, nn.Dropout)]

    assert not dropouts(ResnetGenerator(3, 3, 4, 3))
    assert len(dropouts(ResnetGenerator(3, 3, 4, 3, dropout=0.5))) == 3


def test_an_editor_starts_as_the_identity():
    network = ResnetEditor(3, 3, width=4, blocks=1)
    images = torch.rand(2, 3, 16, 20) * 2 - 1
    assert_close(network(images), images)


def test_an_editor_turns_black_into_white_and_hides_no_excess():
    network = ResnetEditor(3, 3, width=4, blocks=1)
    nn.init.constant_(network.layers[-2].bias, 9.0)  # tanh(9) = 1
    white = torch.ones(1, 3, 16, 16)
    assert_close(network(-white), white)
    excess = network(white)
    assert_close(excess, 3 * white)  # a loss sees it, a picture does not
    assert torch.equal(to_uint8(excess), to_uint8(white))


def test_an_editor_of_other_channels_is_refused():
    with pytest.raises(ValueError, match="from 1 to 3"):
        ResnetEditor(1, 3)


def test_a_residual_block_adds_to_its_input():
    block = ResidualBlock(4)
    nn.init.zeros_(block.body[1].weight)
    nn.init.zeros_(block.body[-2].weight)
    x = torch.randn(1, 4, 8, 8)
    assert_close(block(x), x)


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70)])
def test_a_patch_has_the_field_that_the_paper_names(layers, field):
    critic = PatchGAN(1, width=2, layers=layers, norm=lambda _: nn.Identity())
    images = torch.randn(1, 1, 128, 128, requires_grad=True)
    logits = critic(images)
    middle = logits.shape[-1] // 2
    logits[0, 0, middle, middle].backward()
    rows = images.grad[0, 0].abs().sum(1).nonzero()
    assert rows.max() - rows.min() + 1 == field


def test_a_patchgan_s_map():
    assert PatchGAN(6, width=4)(torch.zeros(2, 6, 256, 256)).shape == (2, 1, 30, 30)
    assert PatchGAN(3, width=4, channels_condition=1)(torch.zeros(1, 4, 64, 64)).shape[1] == 1
    with pytest.raises(ValueError, match="at least 1 layer"):
        PatchGAN(3, layers=0)


@pytest.mark.parametrize("downsamplings", [2, 5, 8])
def test_a_unet_keeps_the_size(downsamplings):
    network = UNetGenerator(1, 3, downsamplings, width=2)
    side = max(16, 2**downsamplings)
    assert network(torch.rand(1, 1, side, side)).shape == (1, 3, side, side)


def test_the_paper_s_unet_has_the_reference_s_size():
    """54.414 million with batch norm's affine parameters, as the reference prints it."""
    network = UNetGenerator(3, 3, norm=nn.BatchNorm2d)
    assert parameters(network) == pytest.approx(54.414e6, rel=1e-3)


def test_every_depth_of_a_unet_reaches_the_output():
    network = UNetGenerator(1, 1, 4, width=4, dropout=0.0)
    network(torch.randn(1, 1, 32, 32)).sum().backward()
    for name, weight in network.named_parameters():
        assert weight.grad.abs().sum() > 0 or "bias" in name, name


def test_dropout_sits_in_the_three_innermost_decoder_layers():
    network = UNetGenerator(3, 3, 8, width=2)
    noisy = [any(isinstance(p, nn.Dropout) for p in up) for up in network.decoder]
    assert noisy == [True, True, True, False, False, False, False]


def test_a_unet_says_which_sides_it_takes():
    with pytest.raises(ValueError, match="multiples of 16, not 20×16"):
        UNetGenerator(3, 3, 4, width=2)(torch.zeros(1, 3, 20, 16))
    with pytest.raises(ValueError, match="at least twice"):
        UNetGenerator(3, 3, 1)
