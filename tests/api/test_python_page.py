"""docs/python.md, run word for word with a smaller model; and the notebook."""

import re
from pathlib import Path

import pytest

import ganforge as gf
from ganforge.api import runs
from ganforge.utils.errors import UserError
from helpers import TINY_AVATARS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SMALL = [
    *TINY_AVATARS[1:], "debug=fast", "model.generator.width=4", "model.discriminator.width=4",
    "callbacks.image_quality.n_images=16", "data.source.train_count=64",
]  # fmt: skip


@pytest.fixture(scope="module")
def shortened(tmp_path_factory: pytest.TempPathFactory) -> object:
    """``gf.train`` of a smaller model, in an empty folder."""
    patch = pytest.MonkeyPatch()
    train = runs.train
    patch.setattr(gf, "train", lambda *words, **keys: train(*words, *SMALL, **keys), raising=False)
    for name, few in {"POOL": 60, "MEASURED": 4, "MINIMUM": 2}.items():
        patch.setattr(f"ganforge.api.directions.{name}", few)
    patch.chdir(tmp_path_factory.mktemp("page"))
    yield
    patch.undo()


def test_the_page_runs_from_top_to_bottom(shortened: None, capfd: pytest.CaptureFixture) -> None:
    names: dict[str, object] = {}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"docs/python.md, block {number}", "exec"), names)
    run, images = names["run"], names["images"]
    assert run.folder.parent == Path("outputs").absolute()
    assert "Trained 2 steps" in capfd.readouterr().out
    assert [score.step for score in run.scores]
    records = names["log"]
    assert len(records) > 0
    assert images.shape == (16, 3, 32, 32)
    assert (Path("walks") / "explore.json").is_file()


def test_a_training_that_fails_says_why(shortened: None) -> None:
    with pytest.raises(UserError, match="did you mean"):
        runs.train("experiment=quickstart", **{"data.sise": 32})
    with pytest.raises(UserError, match="a sweep is many runs"):
        runs.train("-m", "seed=1,2")
