"""Directions by name: found once, kept, and moved along the same way by all who name them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganforge as gf
from ganforge.api import directions
from ganforge.api.models import TrainedGenerator
from ganforge.utils.errors import UserError
from helpers import ganforge

BEFORE = Path(__file__).parents[1] / "trained" / "before_the_rooms"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six classes whose directions are found among few samples."""
    folder = tmp_path_factory.mktemp("directions") / "run"
    shutil.copytree(BEFORE / "run", folder)
    patch = pytest.MonkeyPatch()
    patch.setattr(directions, "POOL", 60)
    patch.setattr(directions, "MEASURED", 4)
    patch.setattr(directions, "MINIMUM", 2)
    shares: list[float] = []
    try:
        gf.load(folder, device="cpu").directions(label="bob", progress=shares.append)
    finally:
        patch.undo()
    assert shares == sorted(shares)
    assert shares[-1] > 0.5
    return folder


@pytest.fixture
def model(run: Path) -> gf.load:
    return gf.load(run, device="cpu")


def kept(run: Path) -> Path:
    return run / "explore" / "known_directions" / "z_class2.json"


def test_they_have_names_and_the_length_one(model: gf.load) -> None:
    known = model.directions(label="bob")
    assert {"ganspace1", "ganspace5", "sefa1", "sefa5"} <= known.keys()
    for direction in known.values():
        assert direction.vector.norm().item() == pytest.approx(1, abs=1e-5)
        assert set(direction.effects) == {
            "glasses", "eyes", "mouth", "facial_hair", "hair", "skin", "rotation"
        }  # fmt: skip


def test_what_was_kept_is_read_and_not_found_again(
    model: gf.load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directions, "find", lambda *_: pytest.fail("found again"))
    assert "sefa1" in model.directions(label=2)


@pytest.mark.parametrize(
    "damage", ["[]", "{", '{"weights": 1}', "null", '{"weights": "W", "methods": {"sefa": 3}}',
               '{"weights": "W", "methods": {"sefa": {"directions": {"sefa 1": [1, 2]}}}}',
               '{"weights": "W", "methods": {"sefa": {"directions": {"sefa 1": [NaN]}}}}',
               '{"weights": "W", "methods": {}}'],
)  # fmt: skip
def test_anything_else_in_their_place_is_not_believed(
    run: Path, model: gf.load, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = kept(run).read_text()
    methods = json.loads(good)["methods"]
    monkeypatch.setattr(directions, "find", lambda *_: methods)
    kept(run).write_text(damage.replace("W", json.loads(good)["weights"]))
    assert "sefa1" in model.directions(label=2)
    assert json.loads(kept(run).read_text())["methods"] == methods


def test_other_weights_have_others(model: gf.load) -> None:
    before = directions.digest(model.loaded)
    with torch.no_grad():
        next(model.module.generator.parameters()).add_(1)
    assert directions.digest(model.loaded) != before


def test_a_move_is_so_many_standard_deviations(model: gf.load) -> None:
    vector = model.directions(label=2)["sefa1"].vector
    wanted = model.decode(model.latents([3]) + 1.5 * vector, label=2)
    assert torch.equal(model.edit([3], {"sefa1": 1.5}, label=2), wanted)
    assert torch.equal(model.edit([3], {}, label=2), model.sample(1, seed=3, label=2))
    cut = model.edit([3], {}, label=2, truncation=0.5)
    assert torch.equal(cut, model.sample(1, seed=3, label=2, truncation=0.5))


def test_the_command_makes_the_same_picture(run: Path, model: gf.load, tmp_path: Path) -> None:
    words = ["edit={sefa1:1.5,ganspace2:-2}", "class=bob", "n=2", "seed=3", "device=cpu"]
    assert ganforge("generate", f"run={run}", *words, f"output={tmp_path / 'made'}") == 0
    pixels = np.asarray(Image.open(tmp_path / "made" / "seed_000004.png"))
    wanted = model.edit([3, 4], {"sefa1": 1.5, "ganspace2": -2}, label="bob")[1]
    assert torch.equal(torch.tensor(pixels).permute(2, 0, 1), wanted)


def test_wrong_moves_are_a_sentence(model: gf.load) -> None:
    with pytest.raises(UserError, match="no direction beards: there are"):
        model.edit([0], {"beards": 1.0}, label=2)
    for amount in (float("nan"), True, "much"):
        with pytest.raises(UserError, match="give a number"):
            model.edit([0], {"sefa1": amount}, label=2)
    with pytest.raises(UserError, match="say which one"):
        model.directions()


def test_a_folder_that_takes_nothing_does_without(
    model: gf.load, monkeypatch: pytest.MonkeyPatch, run: Path
) -> None:
    methods = json.loads(kept(run).read_text())["methods"]
    monkeypatch.setattr(directions, "find", lambda *_: methods)
    blocked = replace(model.loaded, bundle=True)
    monkeypatch.chdir("/proc")  # where a bundle's place cannot be made
    model = TrainedGenerator(blocked)
    assert "sefa1" in model.directions(label=2)
