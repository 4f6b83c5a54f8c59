"""What the pages compute, without a browser."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.data.faces import Face
from ganforge.data.people import Person, random_pose
from ganforge.lab.arithmetic import Sum
from ganforge.lab.edit import Edited
from ganforge.lab.frame import Desk, Lab, pages_of
from ganforge.lab.pictures import data_url, opened, pixels, png
from ganforge.lab.project import Search
from ganforge.lab.recipes import Recipe, call, line
from ganforge.lab.retouch import Clicked, Retouching
from ganforge.lab.runs import Looks, _comparison, curve, look
from ganforge.lab.samples import Choice
from ganforge.lab.shelf import Shelf
from ganforge.lab.translate import Translation, saved_name
from ganforge.lab.walk import Route
from ganforge.latent.priors import Normal
from ganforge.latent.walk import between
from ganforge.retouch.marks import is_marked
from ganforge.utils.errors import DamagedFileError, UserError
from helpers import ganforge
from lab.conftest import BEFORE, REGION, TRANSLATOR, keep_directions, untrained


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf") / "outputs"
    shutil.copytree(BEFORE / "run", folder / "faces")
    keep_directions(folder / "faces")
    return folder


@pytest.fixture(scope="module")
def lab(outputs: Path) -> Lab:
    return Lab(Shelf(outputs, device="cpu"), lambda: pytest.fail("no face is looked for"))


def desk(lab: Lab, **wanted: str) -> Desk:
    model = lab.shelf.model("faces")
    return Desk(lab, "edit", wanted, "faces", None, model)


# The shelf.


def test_only_runs_of_the_folder_and_the_named_one_can_be_asked_for(
    lab: Lab, outputs: Path
) -> None:
    assert lab.shelf.default() == "faces"
    for name in ("..", "../faces", "/etc", "", str(BEFORE / "run"), "faces/"):
        with pytest.raises(UserError, match="There is no run"):
            lab.shelf.model(name)
    named = Shelf(outputs, BEFORE / "bundle", device="cpu")
    assert list(named.folders())[:2] == ["bundle", "faces"]
    assert named.default() == "bundle"
    assert named.model("bundle").step == 2


def test_without_a_run_a_ready_made_model_is_opened(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "outputs", device="cpu")
    assert shelf.default() == "zoo:avatars32"
    shell = line("generate", shelf.model("zoo:avatars32").folder, n=1)
    assert shell == "ganforge generate run=zoo:avatars32 n=1"


def test_no_model_at_all_is_a_sentence_that_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ganforge.lab.shelf.zoo", list)
    with pytest.raises(UserError, match="Train one in minutes with `ganforge train"):
        Shelf(tmp_path / "outputs").default()


def test_a_run_without_a_checkpoint_yet_is_not_what_is_opened_first(
    tmp_path: Path, outputs: Path
) -> None:
    shutil.copytree(outputs / "faces", tmp_path / "old")
    shutil.copytree(outputs / "faces" / ".hydra", tmp_path / "new" / ".hydra")
    (tmp_path / "latest").symlink_to("new")
    shelf = Shelf(tmp_path, device="cpu")
    assert shelf.default() == "old"
    with pytest.raises(UserError, match="ended before its first one"):
        shelf.model("new")


def test_a_model_is_loaded_once_and_again_when_its_checkpoint_changes(
    tmp_path: Path, outputs: Path
) -> None:
    shutil.copytree(outputs / "faces", tmp_path / "run")
    shelf = Shelf(tmp_path, device="cpu")
    first = shelf.model("run")
    assert shelf.model("run") is first
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    path.write_bytes(path.read_bytes())
    assert shelf.model("run") is not first


def test_a_run_that_is_deleted_meanwhile_is_a_sentence(tmp_path: Path, outputs: Path) -> None:
    shutil.copytree(outputs / "faces", tmp_path / "run")
    shelf = Shelf(tmp_path / "other", tmp_path / "run", device="cpu")
    shelf.model("run")
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(UserError, match="is gone: it was deleted or moved meanwhile"):
        shelf.model("run")


def test_a_bundle_that_lies_is_refused_as_by_other_commands(tmp_path: Path) -> None:
    shutil.copytree(BEFORE / "bundle", tmp_path / "bundle")
    facts = json.loads((tmp_path / "bundle" / "config.json").read_text())
    facts["model"]["generator"]["width"] = 4
    (tmp_path / "bundle" / "config.json").write_text(json.dumps(facts))
    with pytest.raises(DamagedFileError, match="do not fit"):
        Shelf(tmp_path, tmp_path / "bundle", device="cpu").model("bundle")
    facts["model"]["generator"]["_target_"] = "os.system"
    (tmp_path / "bundle" / "config.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"os\.system"):
        Shelf(tmp_path, tmp_path / "bundle", device="cpu").model("bundle")


def test_a_run_of_others_needs_trust(tmp_path: Path, outputs: Path) -> None:
    shutil.copytree(outputs / "faces", tmp_path / "run")
    config = tmp_path / "run" / ".hydra" / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace("ganforge.networks.dcgan.DCGANGenerator", "my.own.Generator"))
    with pytest.raises(UserError, match="trusted=true"):
        Shelf(tmp_path, device="cpu").model("run")


# Pictures.


@pytest.mark.parametrize("side", [32, 64, 128, 256, 512, 1024])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_any_size_are_shown_and_saved(side: int, channels: int) -> None:
    rows = torch.arange(side).mul(255).div(side - 1, rounding_mode="floor").to(torch.uint8)
    image = rows.expand(channels, side, side).contiguous()
    url = data_url(image)
    kind = "png" if side <= 256 else "jpeg"
    assert url.startswith(f"data:image/{kind};base64,")
    back = pixels(opened(png(image), "x.png"), channels)
    assert torch.equal(back, image)
    assert len(data_url(image, 64)) < 64 * 64 * 8


def test_what_is_no_picture_is_a_sentence() -> None:
    for data in (b"", b"hello", b"%!PS-Adobe-3.0\n", png(torch.zeros(3, 8, 8).byte())[:40]):
        with pytest.raises(UserError, match=r"holiday\.png cannot be read as a picture"):
            opened(data, "holiday.png")
    with pytest.raises(UserError, match="more than 50 MB"):
        opened(bytes((50 << 20) + 1), "film.png")


def test_a_photo_of_a_hundred_megapixels_is_a_sentence() -> None:
    Image.new("1", (12_500, 8_000)).save(buffer := io.BytesIO(), "PNG")
    with pytest.raises(UserError, match=r"large\.png cannot be read as a picture"):
        opened(buffer.getvalue(), "large.png")


# Recipes.


def test_lines_are_what_a_shell_and_hydra_read(tmp_path: Path) -> None:
    settings = {"n": 1, "edit": {"glasses": 1.5, "sefa1": -2.0}, "class_": 3, "space": None}
    words = line("generate", tmp_path / "my run", **settings)
    assert words.startswith("ganforge generate 'run=")
    assert words.endswith("n=1 'edit={glasses:1.5,sefa1:-2}' class=3")
    made = call("m.edit", [7], {"glasses": 1.5}, label=None, truncation=0.7)
    assert made == "m.edit([7], {'glasses': 1.5}, truncation=0.7)"


def run_lines(recipe: Recipe, names: dict[str, object], folder: Path) -> dict[str, object]:
    """Run the Python lines of a recipe where nothing else is."""
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    try:
        exec(recipe.python, names)  # what is printed must be right
    finally:
        patch.undo()
    return names


def test_the_lines_of_an_edited_picture_make_it(lab: Lab, tmp_path: Path) -> None:
    edited = Edited(desk(lab, seed="7", truncation="0.8", **{"class": "2"}))
    edited.known = edited.model.directions("z", 2)
    edited.moves = {"glasses": 2.0, "sefa1": -1.0}
    picture = edited.draw(edited.moves)
    made = run_lines(edited.recipe(), {}, tmp_path)["image"]
    assert torch.equal(made, picture)
    words = edited.recipe().shell.replace("'", "").split()[1:]
    assert ganforge(*words, f"output={tmp_path / 'made'}", "device=cpu") == 0
    written = np.asarray(Image.open(tmp_path / "made" / "seed_000007.png"))
    assert torch.equal(torch.tensor(written).permute(2, 0, 1), picture)


def test_a_seed_without_a_chosen_class_keeps_its_own(lab: Lab) -> None:
    edited = Edited(desk(lab, seed="11"))
    model = lab.shelf.model("faces")
    assert torch.equal(edited.draw({}), model.sample(1, seed=11)[0])


@pytest.mark.parametrize("text", ["0.7", "2", "", "0", "-1", "nan", "1e9", "²", "x" * 100])
def test_truncation_of_an_address_is_a_number_or_none(lab: Lab, text: str) -> None:
    wanted = {"0.7": 0.7, "2": 2.0}.get(text)
    assert Choice(desk(lab, truncation=text), None).truncation == wanted


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "9" * 30])
def test_seeds_of_an_address_are_whole_numbers(lab: Lab, text: str) -> None:
    with pytest.raises(UserError, match="no whole number"):
        Edited(desk(lab, seed=text))


def test_a_picture_that_was_forgotten_is_a_sentence(lab: Lab) -> None:
    edited = Edited(desk(lab, latent="nothing"))
    with pytest.raises(UserError, match="find it again"):
        edited.start()


# Arithmetic.


def test_the_sum_is_that_of_means_where_latents_lie(lab: Lab) -> None:
    added = Sum(desk(lab, **{"class": "1"}))
    z = added.model.latents([3, 4, 5, 6])
    wanted = (z[0] + z[1]) / 2 - z[2] + z[3]
    wanted = wanted * (len(wanted) ** 0.5 / wanted.norm())
    assert_close(added.latent([[3, 4], [5], [6]]), wanted[None])


def test_the_lines_of_a_sum_are_the_tool_s(lab: Lab) -> None:
    added = Sum(desk(lab))
    for place, seeds in zip(added.places.values(), ([1], [2, 3], [4]), strict=True):
        place.seeds = seeds
    words = "tool=arithmetic class=0 'tool.a=[1]' 'tool.b=[2,3]' 'tool.c=[4]'"
    assert added.recipe().shell.endswith(words)
    explored = "m.explore('arithmetic', a=[1], b=[2, 3], c=[4], label=0).save('sum')"
    assert added.recipe().python.splitlines()[-1] == explored


# Walk.


def test_a_place_of_a_walk_lies_between_its_neighbours() -> None:
    keys, prior = torch.eye(3) * 3**0.5, Normal(3)
    assert_close(between(prior, keys, 0.0), keys[:1])
    assert_close(between(prior, keys, 1.0), keys[1:2])
    assert_close(between(prior, keys, 2.0), keys[2:])
    middle = torch.tensor([[0.0, 1.5**0.5, 1.5**0.5]])
    assert_close(between(prior, keys, 1.5), middle)
    assert_close(between(prior, keys[:1], 0.0), keys[:1])


def test_a_film_of_a_walk_goes_back_to_its_start(lab: Lab, tmp_path: Path) -> None:
    route = Route(desk(lab, seeds="3,9"))
    film = Image.open(io.BytesIO(route.film("gif")))
    assert film.info["loop"] == 0
    with pytest.raises(UserError, match="at least two"):
        Route(desk(lab, seeds="3")).film("gif")
    made = run_lines(route.recipe(), {}, tmp_path)
    assert (tmp_path / "walk" / "walk.gif").read_bytes() == route.film("gif")
    facts = json.loads((tmp_path / "walk" / "explore.json").read_text())
    assert facts["findings"] == {"seeds": [3, 9], "frames": 48}
    assert made["m"].step == 2


# Projection.


def test_a_photo_is_found_and_each_step_told(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganforge.lab.project.STEPS", 4)
    monkeypatch.setattr("ganforge.lab.project.CANDIDATES", 6)
    search = Search(desk(lab))
    Image.new("RGB", (50, 40), "teal").save(buffer := io.BytesIO(), "PNG")
    target = search.target(buffer.getvalue(), "teal.png")
    assert target.shape == (3, 32, 32)
    told: list[int] = []
    numbers = search.run(target, lambda step, z: told.append(step))
    assert told[0] == 0
    assert told == sorted(told)
    assert torch.tensor(numbers["z"]).shape == (1, 8)
    shell = search.recipe("my photo.png").shell
    assert "'tool.images=['\"'\"'my photo.png'\"'\"']'" in shell


# Runs.


def test_a_run_is_seen_as_it_is_written(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    lines = ['{"step": 0, "discriminator/D(x)": 0.5}', '{"step": 50, "discriminator/D(x)": 0.7}']
    broken = ["[]", "null", '{"step": 60, "discriminator/D(x)": "NaN"}', '{"step": 100, "discri']
    (run / "metrics.jsonl").write_text("\n".join([*lines, *broken]))
    (run / "diagnosis.jsonl").write_text('{"step": 40, "message": "the critic wins"}\n')
    (run / "scores.json").write_text("{")
    seen = look("run", run)
    assert seen.step == 60
    assert [f["message"] for f in seen.findings] == ["the critic wins"]
    assert "scores.json" in seen.told
    drawn = curve(seen.records, ("discriminator/D(",), "D")
    assert drawn.count("<polyline") == 1
    assert "0.7" in drawn
    assert curve(seen.records, ("generator/",), "G") == ""


def test_keys_of_others_are_text_in_a_picture() -> None:
    key = 'scores/<script>alert("x")</script>'
    drawn = curve([{"step": 0, key: 1.0}, {"step": 5, key: 2.0}], ("scores/",), "Scores")
    assert "<script" not in drawn


def test_nothing_is_written_to_a_run_that_is_looked_at(outputs: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in outputs.rglob("*")}
    for _ in range(2):
        Looks().at({"faces": outputs / "faces"})
    assert {p: p.stat().st_mtime_ns for p in outputs.rglob("*")} == before


def test_a_deleted_run_is_told(tmp_path: Path) -> None:
    assert "deleted" in look("gone", tmp_path / "gone").told


def test_unlike_scores_are_not_compared(tmp_path: Path) -> None:
    seen = [look(name, tmp_path) for name in ("a", "b")]
    assert _comparison(*seen) == "They have no score in common."


# Translation.


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("translator")
    bundle = untrained(TRANSLATOR, folder, "glasses")
    lab = Lab(Shelf(folder, bundle, device="cpu"), lambda: pytest.fail("no face is looked for"))
    return Desk(lab, "translate", {}, "glasses", None, lab.shelf.model("glasses"))


def photo(width: int, height: int, kind: str = "PNG") -> bytes:
    rng = np.random.default_rng(0)
    noise = rng.integers(256, size=(height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer := io.BytesIO(), kind)
    return buffer.getvalue()


def test_a_photo_of_any_size_is_translated_as_by_the_command(
    translator: Desk, tmp_path: Path
) -> None:
    work = Translation(translator)
    (tmp_path / "p.png").write_bytes(photo(45, 37))
    work.take((tmp_path / "p.png").read_bytes(), "p.png")
    work.made["p.png"] = work.translate("p.png")
    assert work.made["p.png"].shape == (3, 37, 45)
    words = [f"run={translator.model.folder}", f"input={tmp_path / 'p.png'}", "device=cpu"]
    assert ganforge("translate", *words, f"output={tmp_path / 'made.png'}") == 0
    written = torch.tensor(np.asarray(Image.open(tmp_path / "made.png"))).permute(2, 0, 1)
    assert torch.equal(written, work.made["p.png"])
    with zipfile.ZipFile(io.BytesIO(work.pack())) as archive:
        assert archive.namelist() == ["p.png"]
        assert archive.read("p.png") == png(work.made["p.png"])
    work.shown = str(tmp_path / "p.png")
    assert torch.equal(run_lines(work.recipe(), {}, tmp_path)["image"], work.made["p.png"])


def test_a_photo_that_would_take_minutes_is_a_sentence(translator: Desk) -> None:
    Image.new("1", (3000, 3000)).save(buffer := io.BytesIO(), "PNG")
    with pytest.raises(UserError, match="9 megapixels, and the lab takes 4"):
        Translation(translator).take(buffer.getvalue(), "wide.png")
    translator.wanted["direction"] = "c_to_d"
    try:
        with pytest.raises(UserError, match="use a_to_b or b_to_a"):
            Translation(translator)
    finally:
        del translator.wanted["direction"]


def test_names_of_translations() -> None:
    assert saved_name("a/holiday.photo.JPG") == "holiday.photo.png"


# Retouching.


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("eyes")
    bundle = untrained(REGION, folder, "eyes")
    lab = Lab(Shelf(folder, bundle, device="cpu"), lambda: pytest.fail("no face is looked for"))
    return Desk(lab, "retouch", {}, "eyes", None, lab.shelf.model("eyes"))


def test_pages_follow_the_kind_of_model(lab: Lab, translator: Desk, eyes: Desk) -> None:
    generator = ("samples", "edit", "arithmetic", "walk", "project", "runs")
    assert pages_of(lab.shelf.model("faces")) == generator
    assert pages_of(translator.model) == ("translate", "runs")
    assert pages_of(eyes.model) == ("retouch", "runs")
    assert pages_of(None) == ("runs",)


def test_eyes_that_were_clicked_are_opened_and_marked(eyes: Desk, tmp_path: Path) -> None:
    person, rng = Person("clicked"), np.random.default_rng(0)
    work = Retouching(eyes)
    assert not work.hears
    with pytest.raises(UserError, match="both photos"):
        work.eyes()
    for shot, opening in ((work.photo, 0.0), (work.exemplar, 1.0)):
        pose = random_pose(rng)
        person.draw(pose, 256, opening).save(buffer := io.BytesIO(), "PNG")
        shot.data, shot.file = buffer.getvalue(), f"{shot.name}.png"
        shot.clicks = [(x / 256, y / 256) for x, y in pose.eyes(256)][::-1]
    (tmp_path / "made.png").write_bytes(work.eyes())
    assert is_marked(tmp_path / "made.png")
    before = np.asarray(Image.open(io.BytesIO(work.photo.data)).convert("RGB"))
    after = np.asarray(Image.open(tmp_path / "made.png").convert("RGB"))
    changed = (before != after).any(2)
    assert 0.01 < changed.mean() < 0.3


def test_without_clicks_a_finder_looks(eyes: Desk) -> None:
    work = Retouching(eyes)
    image = Image.new("RGB", (64, 64))
    found = Clicked({}, lambda: lambda name, image: [Face((1, 2), (3, 2))])
    assert found("photo.png", image) == [Face((1, 2), (3, 2))]
    assert "exemplar=OTHER_PHOTO" in work.recipe().shell
