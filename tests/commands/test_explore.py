"""``ganforge explore`` from the command line: files, repetition, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from ganforge.metrics.cnn import CNNFeatures
from ganforge.models.translator import Translator
from ganforge.trained.space import Activations, open_image
from ganforge.training.fit import train
from ganforge.utils.errors import UserError
from ganforge.utils.images import to_float
from helpers import TINY, TINY_AVATARS, composed, ganforge, options

SMALL = {
    "interpolation": ["tool.path_length=4", "tool.frames=4", "tool.steps=3"],
    "rotation": [
        "tool.a=skin:SEEN", "tool.b=skin:SEEN", "tool.path_length=4", "tool.frames=4",
        "tool.pairs=2", "tool.pool=40",
    ],
    "arithmetic": [
        "tool.a=skin:SEEN", "tool.b=[1,2]", "tool.c=[3]", "tool.results=8", "tool.pool=40",
    ],
    "directions": [
        "tool.supervised=null", "tool.unsupervised.ganspace.samples=40", "tool.measured=8",
    ],
    "projection": ["tool.count=2", "tool.candidates=8", "tool.steps=4", "tool.frames=2"],
    "neighbours": ["tool.n=20", "tool.shown=2"],
    "walk": ["tool.frames=2"],
    "dissect": [
        "tool.query=skin:SEEN", "tool.pool=40", "tool.images=4", "tool.layers=[layers.2]",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """Two steps of the recipe behind docs/latent.md, on few and small faces."""
    folder = tmp_path_factory.mktemp("outputs") / "run"
    small = ["model.generator.width=8", "model.discriminator.width=8", "logger=[]"]
    recipe = ["experiment=dcgan_avatars", *TINY_AVATARS[1:], *TINY, *small]
    config = composed("train", recipe, folder, data_dir)
    train(config)
    (folder / ".hydra").mkdir()
    OmegaConf.save(config, folder / ".hydra" / "config.yaml", resolve=True)
    return folder


@pytest.fixture(scope="module")
def seen(run: Path, data_dir: Path) -> str:
    """A skin that some samples of the run have."""
    from ganforge.trained.load import load_run

    module = load_run(run, device="cpu").module
    images = module.generate(module.draw_latents(100, torch.Generator().manual_seed(0)))
    return str(CNNFeatures("avatars").attributes(images)["skin"].argmax(1).mode().values.item())


def explore(run: Path, *arguments: str) -> int:
    return ganforge("explore", f"run={run}", "device=cpu", "checkpoint=last", *arguments)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_tool_has_a_test_here() -> None:
    assert sorted(SMALL) == options("tool")


@pytest.mark.parametrize("tool", SMALL)
def test_the_same_seed_writes_the_same_files(
    tool: str, run: Path, seen: str, tmp_path: Path
) -> None:
    arguments = [f"tool={tool}", *(item.replace("SEEN", seen) for item in SMALL[tool])]
    for name in ("one", "two"):
        assert explore(run, *arguments, f"output={tmp_path / name}") == 0
    first = files_of(tmp_path / "one")
    assert first == files_of(tmp_path / "two")
    facts = json.loads(first["explore.json"])
    assert facts["tool"] == tool
    assert facts["step"] == 2
    assert facts["seed"] == 0
    assert sorted([*facts["files"], "explore.json"]) == sorted(first)
    for name in facts["files"]:
        with Image.open(tmp_path / "one" / name) as picture:
            assert min(picture.size) > 60
            assert getattr(picture, "n_frames", 1) > 1 or name.endswith(".png")


def test_another_seed_writes_other_pictures(run: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        arguments = ["tool=neighbours", *SMALL["neighbours"], f"output={tmp_path / str(seed)}"]
        assert explore(run, *arguments, f"seed={seed}") == 0
    assert files_of(tmp_path / "0")["neighbours.png"] != files_of(tmp_path / "1")["neighbours.png"]


def test_results_go_into_the_runs_folder(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert explore(run, "tool=neighbours", *SMALL["neighbours"]) == 0
    assert (run / "explore" / "neighbours" / "explore.json").is_file()
    assert "50% without copying" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tool=dissect", "tool.query='hat=1'"], ["'hat'", "glasses, eyes, mouth"]),
        (["tool=dissect", "tool.query='hair=green'"], ["'green'", "0=bald", "5=afro"]),
        (
            [
                "tool=arithmetic",
                "tool.a='hair=afro,skin=dark'",
                "tool.confidence=0.999",
                "tool.pool=20",
            ],
            ["none of 20 samples is hair=afro,skin=dark", "skin: pale"],
        ),
        (["tool=projection", "tool.images=[nothing.png]"], ["nothing.png", "picture"]),
        (["tool=nothing"], ["nothing", "arithmetic", "projection"]),
        (["film=avi"], ["avi", "gif or mp4"]),
        (["seed=-1"], ["seed=-1"]),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: list[str], words: list[str], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["tool.path_length=0"] if arguments[0].startswith(("film", "seed")) else []
    assert explore(run, *arguments, *quick) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    for word in words:
        assert word in error


def test_a_model_without_latents_is_refused_by_name(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ganforge.trained import load

    monkeypatch.setattr(load, "LatentModel", Translator)
    assert explore(run) == 2
    error = capsys.readouterr().err
    assert "holds a GAN, which has no latent space" in error
    assert "model=dcgan" in error


def test_activations_end_in_the_features_of_the_classifier() -> None:
    extractor = CNNFeatures("avatars")
    images = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    maps = Activations(extractor)(to_float(images))
    assert len(maps) == len(extractor.metadata["architecture"]["widths"])
    torch.testing.assert_close(
        maps[-1].mean((2, 3)), extractor(images).features, atol=1e-3, rtol=1e-3
    )


def test_a_picture_is_cropped_to_its_middle(tmp_path: Path) -> None:
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste((0, 0, 255), (100, 0, 200, 100))
    wide.save(tmp_path / "wide.png")
    image = open_image(str(tmp_path / "wide.png"), 32, 3)
    assert image.shape == (3, 32, 32)
    assert (image == torch.tensor([0, 0, 255])[:, None, None]).all()
    assert open_image(str(tmp_path / "wide.png"), 16, 1).shape == (1, 16, 16)
    (tmp_path / "no.png").write_text("x")
    with pytest.raises(UserError, match=r"no\.png cannot be read as a picture"):
        open_image(str(tmp_path / "no.png"), 32, 3)
