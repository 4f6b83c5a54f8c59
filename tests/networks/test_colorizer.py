import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.networks.colorizer import Colorizer, colored


def tiny(**options):
    torch.manual_seed(0)
    return Colorizer(widths=(4, 6), depths=(1, 1), **options)


def test_colours_are_those_of_bt_601():
    """Against Pillow, whose coordinates are those of JPEG."""
    torch.manual_seed(0)
    rgb = torch.randint(0, 256, (9, 5, 3), dtype=torch.uint8)
    pillow = np.array(Image.fromarray(rgb.numpy()).convert("YCbCr"))
    y, cb, cr = torch.from_numpy(pillow).float().unbind(-1)
    # [-1, 1] for Y; Cb and Cr lie around 128 and are as wide as Y.
    chroma = torch.stack([cb - 128, cr - 128])[None] / 127.5
    found = (colored(y[None, None] / 127.5 - 1, chroma) + 1) * 127.5
    assert_close(
        found[0].permute(1, 2, 0), rgb.float(), rtol=0, atol=2.8
    )  # it cuts decimals of Y, Cb and Cr


def test_brightness_stays_whatever_the_colour():
    luma, chroma = torch.rand(4, 1, 3, 3) - 0.5, 0.1 * torch.randn(4, 2, 3, 3)
    red, green, blue = colored(luma, chroma).unbind(1)
    assert_close(0.299 * red + 0.587 * green + 0.114 * blue, luma[:, 0])


def test_it_starts_as_grey_and_learns_colour():
    network, grey = tiny(), torch.rand(8, 1, 16, 16) * 2 - 1
    assert_close(network(grey), grey.expand(-1, 3, -1, -1))
    truth = colored(0.5 * grey, torch.full((8, 2, 16, 16), 0.2))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    losses = []
    for _ in range(30):
        loss = (network(0.5 * grey) - truth).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_sides_may_be_any_multiples():
    assert tiny()(torch.zeros(1, 1, 8, 20)).shape == (1, 3, 8, 20)
    with pytest.raises(ValueError, match="multiples of 4, not 8×10"):
        tiny()(torch.zeros(1, 1, 8, 10))


def test_every_parameter_has_a_gradient():
    network = tiny()
    torch.nn.init.normal_(network.output[2].weight)
    network(torch.rand(2, 1, 8, 8)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels_in": 3}, "from 1 channel to 3, not from 3 to 3"),
        ({"channels_out": 1}, "not from 1 to 1"),
    ],
)
def test_it_is_for_grey_images_only(options, words):
    with pytest.raises(ValueError, match=words):
        tiny(**options)


def test_widths_and_depths_belong_together():
    with pytest.raises(ValueError, match=r"widths \[4, 6\] need as many depths, not \[1\]"):
        Colorizer(widths=(4, 6), depths=(1,))
