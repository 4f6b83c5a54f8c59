from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.latent.priors import Normal
from ganforge.models.gan import GAN
from helpers import TINY, TINY_AVATARS, ganforge


def test_truncation_by_hand() -> None:
    """The upper quartile of the normal becomes that of its part within ±0.7: Φ⁻¹(0.62902)."""
    z = torch.tensor([-0.67449, 0.0, 0.67449])
    assert_close(
        Normal(1).truncate(z, 0.7), torch.tensor([-0.32926, 0.0, 0.32926]), rtol=0, atol=1e-4
    )
    assert_close(Normal(1).truncate(z, 8.0), z, rtol=0, atol=1e-5)


def test_truncated_latents_stay_inside_and_in_order() -> None:
    z = torch.randn(1000, 5, generator=torch.Generator().manual_seed(0)) * 3
    cut = Normal(1).truncate(z, 0.5)
    assert cut.abs().max() <= 0.5
    assert (cut.flatten()[z.flatten().argsort()].diff() >= 0).all()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny runs: ``free`` without labels, ``steered`` by the avatars' hair."""
    folder = tmp_path_factory.mktemp("runs")
    patch = pytest.MonkeyPatch()
    patch.setenv("GANFORGE_DATA", str(folder / "data"))
    small = ["model.generator.width=8", "model.discriminator.width=8", "logger=[]"]
    hair = ["conditioning=projection", "data.source.label=hair", "data.num_classes=6"]
    hair.append("model.optimizer_generator.lr=0.1")  # two steps must tell the classes apart
    try:
        for name, own in {"free": [], "steered": hair}.items():
            output = f"hydra.run.dir={folder / name}"
            assert ganforge("train", *TINY_AVATARS, *TINY, *small, *own, output) == 0
    finally:
        patch.undo()
    return folder


def pictures(folder: Path) -> list[bytes]:
    return [np.asarray(Image.open(path)).tobytes() for path in sorted(folder.glob("seed_*.png"))]


def test_a_class_by_number_and_by_name(runs: Path, tmp_path: Path) -> None:
    for name, choice in {"number": "5", "name": "afro", "loud": "AFRO", "other": "bald"}.items():
        arguments = [f"run={runs / 'steered'}", "n=3", f"class={choice}", "checkpoint=last"]
        assert ganforge("generate", *arguments, f"output={tmp_path / name}") == 0
    assert pictures(tmp_path / "number") == pictures(tmp_path / "name")
    assert pictures(tmp_path / "name") == pictures(tmp_path / "loud")
    assert pictures(tmp_path / "name") != pictures(tmp_path / "other")


def test_a_bundle_knows_its_classes(runs: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    assert ganforge("export", f"run={runs / 'steered'}", "checkpoint=last", f"output={bundle}") == 0
    for name, run in {"run": runs / "steered", "bundle": bundle}.items():
        arguments = [f"run={run}", "checkpoint=last", "n=3", "class=afro"]
        assert ganforge("generate", *arguments, f"output={tmp_path / name}_pictures") == 0
    assert pictures(tmp_path / "run_pictures") == pictures(tmp_path / "bundle_pictures")


def test_explore_asks_for_a_class(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANFORGE_DATA", str(runs / "data"))
    arguments = ["explore", f"run={runs / 'steered'}", "tool=interpolation", "tool.steps=4"]
    assert ganforge(*arguments) == 2
    assert "class=0" in capsys.readouterr().err.strip().splitlines()[-1]
    assert ganforge(*arguments, "class=afro", f"output={tmp_path}") == 0
    assert list(tmp_path.glob("*.png"))


def test_truncation_changes_the_pictures(runs: Path, tmp_path: Path) -> None:
    for name, choice in {"all": "null", "cut": "0.7", "again": "0.7"}.items():
        arguments = [f"run={runs / 'free'}", "n=2", f"truncation={choice}"]
        assert ganforge("generate", *arguments, f"output={tmp_path / name}") == 0
    assert pictures(tmp_path / "cut") == pictures(tmp_path / "again")
    assert pictures(tmp_path / "cut") != pictures(tmp_path / "all")


def test_truncation_leaves_a_seed_its_class(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    made = GAN.generate

    def spied(module, z, labels=None):
        told.append(labels.tolist())
        return made(module, z, labels)

    monkeypatch.setattr(GAN, "generate", spied)
    for choice in ("null", "0.7", "0.2"):
        arguments = [f"run={runs / 'steered'}", "n=12", f"truncation={choice}"]
        assert ganforge("generate", *arguments, f"output={tmp_path / choice}") == 0
    assert told[0] == told[1] == told[2]
    assert len(set(told[0])) > 2
    assert pictures(tmp_path / "null") != pictures(tmp_path / "0.7")


def test_the_grid_of_training_has_a_column_a_class(runs: Path) -> None:
    width, height = Image.open(runs / "steered" / "samples" / "step_000002.png").size
    assert width / height == pytest.approx(6 / 8, abs=0.02)


@pytest.mark.parametrize(
    ("run", "argument", "words"),
    [
        ("steered", "class=9", ["class=9", "6 classes", "bald, short, bob, long, bun, afro"]),
        ("steered", "class=mohawk", ["mohawk", "0 to 5"]),
        ("free", "class=1", ["unconditional", "conditioning=projection"]),
        ("free", "truncation=0", ["truncation=0", "above 0"]),
        ("free", "truncation=much", ["truncation=much", "a number above 0"]),
    ],
)
def test_mistakes_are_a_sentence(
    run: str, argument: str, words: list[str], runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ganforge("generate", f"run={runs / run}", argument) == 2
    (text,) = capsys.readouterr().err.strip().splitlines()
    for word in words:
        assert word in text, text


def test_labels_that_the_model_was_not_made_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path))
    wrong = ["conditioning=projection", "data.source.label=hair", f"hydra.run.dir={tmp_path}/run"]
    assert ganforge("train", *TINY_AVATARS, *TINY, *wrong, "logger=[]") == 2
    assert "data.num_classes=6" in capsys.readouterr().err.strip().splitlines()[-1]


def test_the_sheet_lies_beside_the_samples(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ganforge("generate", f"run={runs / 'free'}", "n=3", "seed=7", "output=samples") == 0
    assert sorted(p.name for p in Path("samples").iterdir()) == [
        f"seed_{seed:06d}.png" for seed in (7, 8, 9)
    ]
    assert "side by side in samples_sheet_seed_000007_n3.png" in capsys.readouterr().out
    with Image.open("samples_sheet_seed_000007_n3.png") as sheet:
        assert sheet.width > 3 * 32
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    assert ganforge("generate", f"run={runs / 'free'}", "n=2", "output=.") == 0
    assert len(list(Path().iterdir())) == 2
    assert (tmp_path / "inside_sheet_seed_000000_n2.png").is_file()
