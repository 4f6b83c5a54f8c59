"""The pages in a real browser: the main gesture of each, by pointer and by keyboard."""

import shutil
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganforge as gf
from ganforge.data.people import Person, random_pose
from lab.conftest import BEFORE, Eyes, Served, started

Keys = pytest.importorskip("selenium.webdriver").Keys


def shown(eyes: Eyes, selector: str) -> torch.Tensor:
    """The pixels of a picture of the page, uint8 ``H×W×3``."""
    pixels = eyes.js(
        """const i = arguments[0], c = document.createElement('canvas');
        if (!i.naturalWidth) return [0, 0, []];
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


def test_a_slider_obeys_the_keyboard_and_before_is_seen_while_a_key_is_held(eyes: Eyes) -> None:
    eyes.go("/edit?run=faces&seed=3&class=2")
    slider = eyes.find(".slide input[aria-label='glasses: none to glasses']")
    eyes.until(lambda: eyes.find(".frame img.before").get_attribute("src"))
    before = eyes.find(".frame img").get_attribute("src")
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    eyes.until(lambda: eyes.find(".slide output").text == "+0.2", "+0.2")
    eyes.until(lambda: eyes.find(".frame img").get_attribute("src") != before, "another picture")
    assert eyes.find(".frame img.before").get_attribute("src") == before
    held = next(b for b in eyes.all("button") if b.text.startswith("Hold"))
    press = "arguments[0].dispatchEvent(new KeyboardEvent(arguments[1], {key: ' ', code: 'Space'}))"
    assert not eyes.all(".frame.held")
    eyes.js(press, held, "keydown")
    eyes.find(".frame.held")
    eyes.js(press, held, "keyup")
    eyes.until(lambda: not eyes.all(".frame.held"))
    next(b for b in eyes.all("button") if b.text == "Reset").click()
    eyes.until(lambda: eyes.find(".frame img").get_attribute("src") == before, "the first picture")
    assert eyes.js("return arguments[0].value", slider) == "0"


PAGES = [
    "/samples?run=faces", "/edit?run=faces&seed=3", "/arithmetic?run=faces", "/walk?run=faces",
    "/project?run=faces", "/translate?run=glasses", "/retouch?run=eyes",
    "/runs?run=faces&with=eyes",
]  # fmt: skip
NAMELESS = """
const name = (e) => e.getAttribute('aria-label') || e.innerText?.trim() || e.alt || e.title
  || [...(e.labels || [])].map((l) => l.innerText.trim()).join('');
const seen = (e) => e.checkVisibility();
const all = [...document.querySelectorAll('a, button, input, select, [role=progressbar]')];
const images = [...document.querySelectorAll('img')].filter((e) => e.alt === null);
return [...all.filter((e) => seen(e) && !name(e)), ...images].map((e) => e.outerHTML.slice(0, 200));
"""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_every_part_has_a_name_and_fits_a_phone(eyes: Eyes, page: str) -> None:
    eyes.width(390)
    eyes.go(page)
    eyes.find("h1")
    eyes.until(lambda: eyes.all("h1, .slide input, .strip .tile, .drop input, table.plain td"))
    assert eyes.js(NAMELESS) == []
    assert eyes.js("return document.documentElement.scrollWidth") <= 390
    assert eyes.find("nav a[aria-current=page]").text
    assert len(eyes.all("main")) == 1


def put(eyes: Eyes, label: str, *files: Path) -> None:
    """Choose files as a hand does."""
    eyes.find(f"input[type=file][aria-label^='{label}']").send_keys("\n".join(map(str, files)))


def drawn(folder: Path, count: int, side: int = 48) -> list[Path]:
    """Photos of noise."""
    paths = [folder / f"photo {i}.png" for i in range(count)]
    for number, path in enumerate(paths):
        rng = np.random.default_rng(number)
        Image.fromarray(rng.integers(256, size=(side, side, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.mark.slow
def test_pictures_are_dragged_onto_a_sum(eyes: Eyes) -> None:
    eyes.go("/arithmetic?run=faces&class=1")
    eyes.find(".strip .tile[aria-label='Seed 8']").click()  # A is chosen at first
    eyes.says("A: 8")
    drag = """
    const data = new DataTransfer(), tile = arguments[0], shot = arguments[1];
    tile.dispatchEvent(new DragEvent('dragstart', {dataTransfer: data, bubbles: true}));
    shot.dispatchEvent(new DragEvent('dragover', {dataTransfer: data, cancelable: true}));
    shot.dispatchEvent(new DragEvent('drop', {dataTransfer: data, cancelable: true}));
    """
    for name, seed in (("B", 4), ("C", 6)):
        tile = eyes.find(f".strip .tile[aria-label='Seed {seed}']")
        eyes.js(drag, tile, eyes.find(f".shot[aria-label^='Place {name}']"))
        eyes.says(f"{name}: {seed}")
    z = gf.load(BEFORE / "run", device="cpu").latents([8, 4, 6])
    summed = (z[0] - z[1] + z[2])[None]
    model = gf.load(BEFORE / "run", device="cpu")
    is_shown(eyes, ".frame img", model.decode(model.module.prior.stretch(summed), label=1)[0])
    eyes.until(lambda: eyes.find(".verdict").text, "a verdict")


@pytest.mark.slow
def test_a_walk_is_scrubbed_and_its_stops_changed(eyes: Eyes) -> None:
    eyes.go("/walk?run=faces&seeds=3,9")
    model = gf.load(BEFORE / "run", device="cpu")
    is_shown(eyes, ".frame img", model.decode(model.latents([3]), label=0)[0])
    eyes.slide("input[type=range]", 1)
    is_shown(eyes, ".frame img", model.decode(model.latents([9]), label=0)[0])
    eyes.find(".strip .tile[aria-label='Seed 5']").click()
    is_shown(eyes, ".frame img", model.decode(model.latents([5]), label=0)[0])
    eyes.find(".tile[aria-label='Stop 1, seed 3: leave it out']").click()
    eyes.until(lambda: "tool.seeds=[9,5]" in eyes.find("pre").get_property("textContent"))


@pytest.mark.slow
def test_a_photo_is_found_and_edited(eyes: Eyes, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("no picture")
    eyes.go("/project?run=faces")
    put(eyes, "Choose a photo", tmp_path / "note.png")
    eyes.says("note.png cannot be read as a picture")
    put(eyes, "Choose a photo", *drawn(tmp_path, 1))
    eyes.says("Perceptual distance")
    found = shown(eyes, ".grid2 .panel:last-child .frame img")
    eyes.find("a.main").click()
    eyes.says("The photo that was found")
    is_shown(eyes, ".frame img", found.permute(2, 0, 1))


@pytest.mark.slow
def test_photos_are_translated_and_wiped(eyes: Eyes, tmp_path: Path, lab: Served) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    Image.new("1", (12_500, 8_000)).save(tmp_path / "huge.png")
    eyes.go("/translate?run=glasses")
    photos = drawn(tmp_path, 2)
    put(eyes, "Choose photos", *photos, tmp_path / "broken.png", tmp_path / "huge.png")
    eyes.until(lambda: len(eyes.all(".strip .tile")) == 2, "two translations")
    eyes.says("broken.png cannot be read")
    eyes.says("huge.png cannot be read")
    model = gf.load(lab.outputs / "glasses", device="cpu")
    pixels = torch.tensor(np.asarray(Image.open(photos[0]))).permute(2, 0, 1)
    is_shown(eyes, ".wipe img.after", model.translate(pixels[None])[0])
    eyes.slide("input[aria-label='Wipe between before and after']", 80)
    at = "return document.querySelector('.wipe').style.getPropertyValue('--at')"
    eyes.until(lambda: eyes.js(at) == "80%", "the wipe")
    eyes.find("select[aria-label=Direction]").send_keys("B")
    is_shown(eyes, ".wipe img.after", model.translate(pixels[None], "b_to_a")[0])


@pytest.mark.slow
def test_eyes_are_clicked_and_opened(eyes: Eyes, tmp_path: Path) -> None:
    eyes.go("/retouch?run=eyes")
    eyes.says("people who agreed")
    person, rng = Person("clicked"), np.random.default_rng(0)
    click = """
    const box = arguments[0].getBoundingClientRect(), init = {bubbles: true};
    init.clientX = box.left + arguments[1] * box.width;
    init.clientY = box.top + arguments[2] * box.height;
    arguments[0].dispatchEvent(new MouseEvent('click', init));
    """
    for number, (label, opening) in enumerate(
        (("Choose: Photo to mend", 0.0), ("Choose: Same", 1.0))
    ):
        pose = random_pose(rng)
        path = tmp_path / f"{number}.png"
        person.draw(pose, 256, opening).save(path)
        put(eyes, label, path)
        image = eyes.until(lambda n=number: (eyes.all("img.film") + [None] * 2)[n])
        eyes.until(lambda i=image: eyes.js("return arguments[0].naturalWidth", i) == 256)
        for x, y in pose.eyes(256):
            eyes.js(click, image, x / 256, y / 256)
    eyes.until(lambda: eyes.text().count("Both eyes are marked.") == 2, "marked eyes")
    eyes.find("button.main").click()
    eyes.until(lambda: eyes.find(".wipe img.after").is_displayed(), "the mended photo")
    before, after = shown(eyes, ".wipe img:not(.after)"), shown(eyes, ".wipe img.after")
    assert before.shape == after.shape == (256, 256, 3)
    assert (before != after).any()


@pytest.mark.slow
def test_a_run_that_is_deleted_meanwhile_is_told_on_its_pages(eyes: Eyes, lab: Served) -> None:
    shutil.copytree(BEFORE / "run", lab.outputs / "gone")
    eyes.go("/runs?run=gone")
    eyes.until(lambda: any("gone" in row.text for row in eyes.all("tbody tr")), "its row")
    eyes.go("/samples?run=gone")
    eyes.find(".tile img")
    shutil.rmtree(lab.outputs / "gone")
    eyes.go("/samples?run=gone")
    eyes.says("There is no run gone")
    eyes.go("/runs?run=gone")
    eyes.says("it was deleted, moved, or never was")
    eyes.go("/edit?run=faces&seed=minus")
    eyes.says("seed=minus is no whole number")


@pytest.mark.slow
def test_two_browsers_draw_at_once_and_each_has_its_own(eyes: Eyes) -> None:
    model = gf.load(BEFORE / "run", device="cpu")
    first = eyes.driver.current_window_handle
    eyes.go("/edit?run=faces&seed=3&class=2")
    eyes.find(".slide input")
    eyes.driver.switch_to.new_window("window")
    try:
        eyes.go("/edit?run=faces&seed=9&class=1")
        for value in (1.0, -1.0, 2.0):
            eyes.slide(".slide input", value)
        second = eyes.driver.current_window_handle
        eyes.driver.switch_to.window(first)
        eyes.slide(".slide input", -2.0)
        unit = torch.eye(8)[:1]
        is_shown(eyes, ".frame img", model.decode(model.latents([3]) - 2 * unit, label=2)[0])
        eyes.driver.switch_to.window(second)
        is_shown(eyes, ".frame img", model.decode(model.latents([9]) + 2 * unit, label=1)[0])
    finally:
        eyes.driver.close()
        eyes.driver.switch_to.window(first)


@pytest.mark.slow
def test_without_a_run_a_ready_made_model_is_opened(
    tmp_path: Path, eyes: Eyes, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, port = started(tmp_path)
    try:
        monkeypatch.setattr(eyes, "address", f"http://127.0.0.1:{port}")
        eyes.go("/")
        eyes.find(".tile img")
        eyes.says("zoo:avatars32, step")
        eyes.driver.get("about:blank")
    finally:
        process.terminate()
        process.communicate()


@pytest.mark.slow
def test_elsewhere_only_the_printed_link_opens_the_lab(tmp_path: Path) -> None:
    process, port = started(tmp_path, "address=0.0.0.0")
    try:
        printed = process.stdout.readline().split()[-1]
        query = printed.partition("?")[2]
        assert query.startswith("token=")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/runs")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        first = opener.open(f"http://127.0.0.1:{port}/runs?{query}").read()
        assert b"url=/runs" in first
        assert b"ganforge lab" in opener.open(f"http://127.0.0.1:{port}/runs").read()
    finally:
        process.terminate()
        process.communicate()
