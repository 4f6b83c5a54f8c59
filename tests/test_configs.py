"""Every configuration composes; what needs no download trains two steps on the CPU."""

from pathlib import Path

import pytest
import torch

from ganforge.config.build import build
from ganforge.training.fit import train
from helpers import CONF, TINY, TINY_AVATARS, composed, options

# Models and data sets that do not go together with the small faces that serve everywhere else.
DATA_OF_MODEL: dict[str, list[str]] = {}
# They have callbacks and data of their own: tests/commands/test_translate.py and test_retouch.py
# step them.
TRANSLATORS = {"cyclegan", "pix2pix", "region"}
NEEDS_FILES = {"celeba", "cifar10", "fashion_mnist", "hub", "image_folder", "mnist", "streaming"}
MODEL_OF_DATA = {
    "gaussian1d": ["experiment=gaussian1d"],
    "ring2d": ["experiment=ring2d"],
    "grid2d": ["experiment=grid2d"],
}
SMALL_NETWORKS = ["model.generator.width=8", "model.discriminator.width=8"]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def step(overrides: list[str], output: Path, data: Path) -> None:
    """Train two steps; every file that a run promises must be there."""
    config = composed("train", overrides, output, data)
    train(config)
    assert (output / "metrics.jsonl").read_text().count("\n") >= 2
    assert (output / "checkpoints" / "last.ckpt").is_file()


def test_a_callback_or_logger_of_null_is_left_out(tmp_path: Path, data_dir: Path) -> None:
    left_out = ["callbacks.sample_grid=null", "callbacks.ema=null", "logger.csv=null"]
    step([*TINY, *TINY_AVATARS, *left_out], tmp_path, data_dir)
    assert not (tmp_path / "samples").exists()
    assert not (tmp_path / "csv").exists()


@pytest.mark.parametrize("data", options("data"))
def test_every_data_set_composes(data: str, tmp_path: Path) -> None:
    overrides = [f"data={data}", *MODEL_OF_DATA.get(data, [])]
    config = composed("train", overrides, tmp_path, tmp_path)
    assert config.data.name
    assert config.data._target_


@pytest.mark.parametrize("model", sorted({*options("model")} - TRANSLATORS))
def test_every_model_steps(model: str, tmp_path: Path, data_dir: Path) -> None:
    data = DATA_OF_MODEL.get(model, TINY_AVATARS)
    step([f"model={model}", *data, *TINY, "logger=[]"], tmp_path, data_dir)


@pytest.mark.parametrize("norm", options("norm"))
def test_sngan_takes_every_norm(norm: str, tmp_path: Path) -> None:
    config = composed("train", ["model=sngan", "data.size=32", f"norm={norm}"], tmp_path, tmp_path)
    discriminator = build(config.model.discriminator)
    names = {type(module).__name__ for module in discriminator.modules()}
    assert ("BatchNorm2d" in names) == (norm == "batch")
    assert hasattr(discriminator.last, "parametrizations") == (norm == "spectral")


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("model", ["sngan", "wgan_gp", "r3gan", "frugal"])
def test_models_step_at_larger_sizes(model: str, size: int, tmp_path: Path, data_dir: Path) -> None:
    small = ["model.generator.width=8", "model.discriminator.width=8", "trainer.max_steps=1"]
    data = [*TINY_AVATARS, f"data.size={size}", "~callbacks.image_quality", "debug=fast"]
    config = composed("train", [f"model={model}", *data, *small, "logger=[]"], tmp_path, data_dir)
    train(config)
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize("model", sorted({*options("model")} - TRANSLATORS))
@pytest.mark.parametrize("conditioning", options("conditioning"))
def test_every_conditioning_composes_with_every_model(
    model: str, conditioning: str, tmp_path: Path, data_dir: Path
) -> None:
    width = [] if model == "gan" else SMALL_NETWORKS
    choice = [f"model={model}", f"conditioning={conditioning}", *width]
    config = composed("train", [*TINY_AVATARS, *choice], tmp_path, data_dir)
    module = build(config.model)
    assert module.num_classes == 2
    z = module.draw_latents(2, module.noise)
    images = module.generate(z, torch.tensor([0, 1]))
    assert module.discriminator(torch.randn(images.shape), torch.tensor([0, 1])).shape[0] == 2


@pytest.mark.parametrize(
    "choice",
    [
        *(f"loss={name}" for name in options("loss")),
        *(f"regularizer=[{name}] norm=none" for name in options("regularizer")),
        f"regularizer=[{','.join(options('regularizer'))}] norm=spectral",
        *(f"generator_term=[{name}]" for name in options("generator_term")),
        *(f"augment={name}" for name in options("augment")),
        *(f"norm={name}" for name in options("norm")),
        *(f"noise={name}" for name in options("noise")),
        *(f"conditioning={name}" for name in options("conditioning")),
        *(f"schedule={name}" for name in options("schedule")),
        *(f"rates={name}" for name in options("rates")),
        *(f"logger={name}" for name in options("logger")),
        *(f"trainer={name}" for name in options("trainer")),
        "trainer.precision=32-true",
        "trainer.precision=bf16-mixed",
        "model.n_critic=2",
        "model.clip_gradient=1.0",
        "model.accumulate=2",
    ],
)
def test_every_choice_steps_with_dcgan(
    choice: str, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = [] if choice.startswith("logger") else ["logger=[]"]
    small = [*TINY_AVATARS, *TINY, *SMALL_NETWORKS, "trainer.accelerator=cpu"]
    step([*small, *logger, *choice.split()], tmp_path, data_dir)


@pytest.mark.parametrize("toy", ["gaussian1d", "ring2d", "grid2d"])
def test_toy_experiments_step(toy: str, tmp_path: Path, data_dir: Path) -> None:
    step([f"experiment={toy}", "debug=fast", "logger=[]"], tmp_path, data_dir)
    assert (tmp_path / "samples" / "training.gif").is_file()


@pytest.mark.parametrize("toy", ["ring2d", "grid2d"])
def test_a_toy_takes_another_regularizer_for_its_own(toy: str, tmp_path: Path) -> None:
    recipe = composed("train", [f"experiment={toy}"], tmp_path, tmp_path)
    assert build(recipe.model.objective).regularizers["r1"].weight == 0.1
    overrides = [f"experiment={toy}", "regularizer=[lecam]"]
    other = composed("train", overrides, tmp_path, tmp_path)
    assert list(build(other.model.objective).regularizers) == ["lecam"]


@pytest.mark.parametrize("recipe", ["quickstart", "dcgan_quickstart"])
def test_quickstart_steps_with_all_its_callbacks(
    recipe: str, tmp_path: Path, data_dir: Path
) -> None:
    step([f"experiment={recipe}", *TINY_AVATARS[1:], *TINY], tmp_path, data_dir)
    assert (tmp_path / "scores.json").is_file()
    assert (tmp_path / "samples" / "training.gif").is_file()
    assert (tmp_path / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda p: p.stem)
def test_no_configuration_holds_an_absolute_path(path: Path) -> None:
    assert "/home/" not in path.read_text()
    assert "/root" not in path.read_text()
