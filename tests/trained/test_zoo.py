"""The models that ganforge brings along: their files, scores, recipes and pictures."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import ganforge as gf
from ganforge.trained.load import load_run
from ganforge.trained.named import MODELS, is_name, place_of, zoo
from ganforge.utils.errors import UserError
from ganforge.utils.images import grid
from helpers import composed, ganforge

LARGEST = 6_000_000
CAPTIONS, EDGE = 21, 2  # pixels of a panel above its pictures, and between them


def pixels(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


def apart(a: Tensor, b: Tensor) -> int:
    assert a.shape == b.shape
    return int((a.int() - b.int()).abs().max())


def column(panel: Tensor, number: int, height: int, width: int) -> Tensor:
    """The pictures of a column, ``N×C×height×width``, of whole pixels again."""
    scale = next(s for s in range(1, 9) if (panel.shape[2] - EDGE) % (width * s + EDGE) == 0)
    left = EDGE + number * (width * scale + EDGE)
    tops = range(CAPTIONS + EDGE, panel.shape[1] - height * scale, height * scale + EDGE)
    return torch.stack(
        [
            panel[:, top : top + height * scale : scale, left : left + width * scale : scale]
            for top in tops
        ]
    )


@pytest.mark.parametrize("name", zoo())
def test_a_model_of_the_zoo_is_small_and_says_what_it_is(name: str, tmp_path: Path) -> None:
    folder = MODELS / name
    assert sum(file.stat().st_size for file in folder.iterdir()) < LARGEST
    facts = json.loads((folder / "config.json").read_text())
    loaded = load_run(f"zoo:{name}", device="cpu")  # the hash of the weights is compared
    assert (facts["name"], loaded.step) == (name, facts["step"])
    scores = gf.load(f"zoo:{name}", device="cpu").scores
    assert scores
    assert {score.step for score in scores} == {loaded.step}
    card = (folder / "README.md").read_text()
    for words in (f"zoo:{name}", "Pablo Stanley", "MIT", facts["recipe"], "seed=0"):
        assert words in card
    assert all(f"{score.value:.4g}" in card for score in scores)
    program, command, *words = shlex.split(facts["recipe"])
    assert (program, command) == ("ganforge", "train")
    assert composed("train", words, tmp_path, tmp_path).data.shape == loaded.config.data.shape


@pytest.mark.parametrize("name", [n for n in zoo() if (MODELS / n / "samples.png").is_file()])
def test_a_generator_of_the_zoo_draws_its_samples(name: str) -> None:
    images = gf.load(f"zoo:{name}", device="cpu").sample(32)
    shown = pixels(MODELS / name / "samples.png")
    scale = (shown.shape[2] - EDGE) // 8 // images.shape[-1]
    assert apart(grid(images, 8, scale=scale), shown) <= 2  # levels: 16-bit weights, other CPUs


@pytest.mark.parametrize("way", ["a_to_b", "b_to_a"])
def test_glasses_of_the_zoo_go_on_and_off(way: str) -> None:
    panel = pixels(MODELS / "glasses" / f"samples_{way}.png")
    before, after = (column(panel, number, 64, 64) for number in (0, 1))
    assert apart(gf.load("zoo:glasses", device="cpu").translate(before, way), after) <= 2
    assert apart(before, after) > 100


def test_eyes_of_the_zoo_open() -> None:
    panel = pixels(MODELS / "eyes" / "samples_input_to_truth.png")
    exemplar, closed, _, opened = (column(panel, number, 32, 48) for number in range(4))
    made = gf.load("zoo:eyes", device="cpu").translate(torch.cat([closed, exemplar], 1))
    assert apart(made, opened) <= 2


def test_a_model_by_name_stands_wherever_a_run_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {file: file.stat().st_mtime_ns for file in MODELS.rglob("*")}
    assert ganforge("generate", "zoo:avatars32", "n=2", "device=cpu") == 0
    assert Path("outputs/bundles/avatars32/generated/seed_000001.png").is_file()
    assert ganforge("export", "run=zoo:avatars32", "format=space", "output=space") == 0
    assert "run=space" in Path("space/README.md").read_text()
    Image.effect_noise((40, 30), 90).convert("RGB").save("x.png")
    assert ganforge("translate", "run=zoo:glasses", "input=x.png", "output=out") == 0
    assert ganforge("generate", "run=zoo:../zoo/avatars32") == 2
    assert ganforge("generate", "run=zoo:avatar32") == 2
    assert "did you mean zoo:avatars32?" in capsys.readouterr().err
    assert {file: file.stat().st_mtime_ns for file in MODELS.rglob("*")} == before
    assert not is_name(Path("outputs/zoo:x"))
    with pytest.raises(UserError, match="brings no model 'x' along"):
        place_of("zoo:x")


def test_the_zoo_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert ganforge("zoo") == 0
    told = capsys.readouterr().out
    for name in zoo():
        assert f"zoo:{name} " in told
    assert "32×48" in told
