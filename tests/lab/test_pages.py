"""The pages in a real browser: the main gesture of each, by pointer and by keyboard."""

import torch
from selenium.webdriver.common.keys import Keys

import ganforge as gf
from lab.conftest import BEFORE, Eyes, Served


def shown(eyes: Eyes, selector: str) -> torch.Tensor:
    """The pixels of a picture of the page, uint8 ``H×W×3``."""
    pixels = eyes.js(
        """const i = arguments[0], c = document.createElement('canvas');
        c.width = i.naturalWidth; c.height = i.naturalHeight;
        const p = c.getContext('2d'); p.drawImage(i, 0, 0);
        return [c.width, c.height, [...p.getImageData(0, 0, c.width, c.height).data]]""",
        eyes.find(selector),
    )  # fmt: skip
    width, height, values = pixels
    return torch.tensor(values, dtype=torch.uint8).reshape(height, width, 4)[..., :3]


def is_shown(eyes: Eyes, selector: str, image: torch.Tensor) -> None:
    """Wait until a picture of the page has these pixels, but for a level."""
    wanted = image.permute(1, 2, 0).int()

    def same() -> bool:
        seen = shown(eyes, selector).int()
        return seen.shape == wanted.shape and int((seen - wanted).abs().max()) <= 1

    eyes.until(same, "the picture")


def test_a_seed_is_taken_from_the_wall_and_edited(eyes: Eyes, lab: Served) -> None:
    eyes.go("/")
    model = gf.load(BEFORE / "run", device="cpu")
    is_shown(eyes, ".tile[aria-label='Seed 5'] img", model.sample(6, seed=0)[5])
    tile = eyes.find(".tile[aria-label='Seed 5']")
    tile.send_keys(Keys.ENTER)
    eyes.says("Seed 5 of faces")
    label = int(model.module.draw_labels(1, 5))
    is_shown(eyes, ".frame img", model.edit([5], {}, label=label)[0])
    name = eyes.find(".slide input").get_attribute("aria-label")
    assert name
    eyes.slide(".slide input", 2)
    known = gf.load(lab.outputs / "faces", device="cpu").directions(label=label)
    first = next(iter(known))
    is_shown(
        eyes, ".frame img", gf.load(lab.outputs / "faces").edit([5], {first: 2.0}, label=label)[0]
    )
    assert f"edit={{{first}:2}}" in eyes.find("pre").get_property("textContent")
