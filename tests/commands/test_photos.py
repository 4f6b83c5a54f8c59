"""``experiment=photos``: what follows from the pictures, as words that could have been typed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.training import measured_speed
from ganforge.training.photos import fitted
from ganforge.utils.errors import UserError
from helpers import draw_pictures


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "cache"))
    folder = draw_pictures(tmp_path / "some pictures", 20, side=50)
    return [
        "experiment=photos", "data=image_folder", f"data.source.path='{folder}'",
        "trainer.accelerator=cpu",
    ]  # fmt: skip


def test_what_follows_is_told_as_keys(words, capsys) -> None:
    added = fitted(words)[len(words) :]
    assert added == ["data.size=32", "augment=diffaugment", "data.batch_size=4"]
    out = capsys.readouterr().out
    assert all(word in out for word in added)
    assert "20: 20 png" in out
    assert "all 50×50" in out


def test_what_was_typed_stays(words) -> None:
    typed = [*words, "data.size=64", "data.batch_size=16", "augment=ada", "trainer.max_steps=400"]
    added = fitted(typed)[len(typed) :]
    assert added == ["callbacks.image_quality.every_n_steps=100",
                     "callbacks.sample_grid.every_n_steps=10"]  # fmt: skip
    assert fitted([*typed, *added]) == [*typed, *added]


def test_grey_pictures_have_one_channel(tmp_path: Path, words) -> None:
    folder = tmp_path / "grey"
    folder.mkdir()
    for i in range(20):
        Image.fromarray(np.full((200, 300), i, np.uint8)).save(folder / f"{i}.png")
    words[2] = f"data.source.path='{folder}'"
    added = fitted(words)[len(words) :]
    assert added[:2] == ["data.size=64", "data.channels=1"]  # no larger on a CPU


@pytest.mark.parametrize(
    ("budget", "steps"),
    [("100kimg", 25000), ("2h", 126000), ("30m", 31500), ("1.5min", 1575), ("10s", 175)],
)
def test_a_budget_becomes_steps(words, budget, steps, monkeypatch) -> None:
    monkeypatch.setattr(measured_speed, "images_per_second", lambda config: 100.0)
    added = fitted([*words, f"budget={budget}"])
    assert f"trainer.max_steps={steps}" in added  # of 4 images, in seven tenths of the time
    assert f"callbacks.image_quality.every_n_steps={steps // 4}" in added


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["budget=soon"], "say 30m, 4h or 100kimg"),
        (["budget=30m", "-m"], "a sweep's jobs have one length"),
    ],
)
def test_budgets_that_are_none_are_refused(words, more, told) -> None:
    with pytest.raises(UserError, match=told):
        fitted([*words, *more])


def test_a_budget_belongs_to_the_recipe() -> None:
    with pytest.raises(UserError, match="belongs to experiment=photos"):
        fitted(["experiment=quickstart", "budget=30m"])


@pytest.mark.parametrize("more", ["resume.run=outputs/a", "--cfg", "debug=fast"])
def test_nothing_is_looked_at_where_nothing_new_is_trained(words, more, capsys) -> None:
    assert fitted([*words, more]) == [*words, more]
    assert capsys.readouterr().out == ""


def test_speed_is_measured_by_training(words, monkeypatch) -> None:
    monkeypatch.setattr(measured_speed, "SECONDS", 0.0)
    small = ["data.size=32", "model.generator.width=4", "model.discriminator.width=4"]
    added = fitted([*words, *small, "budget=100s"])
    (steps,) = (int(w.split("=")[1]) for w in added if w.startswith("trainer.max_steps="))
    assert steps > 0
