"""The wheel holds what the commands need: configuration and weights, found without a checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_configuration_and_weights(installed: Path) -> None:
    for path in (ROOT / "conf").rglob("*.yaml"):
        assert (installed / "ganforge/conf" / path.relative_to(ROOT / "conf")).is_file()
    weights = {path.name for path in (installed / "ganforge/metrics/weights").iterdir()}
    assert {"avatars.safetensors", "fashion_mnist.safetensors"} <= weights
    assert all(
        path.stat().st_size < 3e6 for path in (installed / "ganforge/metrics/weights").iterdir()
    )


def test_the_wheel_holds_the_ready_made_models(installed: Path) -> None:
    zoo = ROOT / "src/ganforge/zoo"
    files = {path.relative_to(zoo) for path in zoo.rglob("*") if path.is_file()}
    assert len(files) >= 15
    for file in files:
        assert (installed / "ganforge/zoo" / file).read_bytes() == (zoo / file).read_bytes()


def test_the_installed_command_composes_its_own_configuration(
    installed: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    code = "import ganforge.cli; print(ganforge.cli.config_dir())"
    where = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert where.stdout.strip() == str(installed / "ganforge/conf"), where.stderr
    done = subprocess.run(
        [sys.executable, "-m", "ganforge", "train", "model=gan", "--cfg", "job"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert "MLPGenerator" in done.stdout, done.stderr


TRAINING = [
    "train", "experiment=quickstart", "hydra.run.dir=one", "paths.data_dir=data",
    "trainer.max_steps=2", "trainer.accelerator=cpu", "data.batch_size=4",
    "data.source.train_count=32", "data.source.test_count=16", "data.source.workers=1",
    "callbacks.image_quality.n_images=16", "callbacks.sample_grid.every_n_steps=2",
    "callbacks.image_quality.metrics=[{_target_:ganforge.metrics.scores.FID}]",
]  # fmt: skip
EXTRAS = {
    "train sweep=optuna_gaussian1d": "optuna",
    "train data=streaming data.path=data": "streaming",
    "train data=hub data.source.path=me/faces": "hub",
    "explore run=one tool=interpolation film=mp4": "video",
    "dashboard project=gans": "dashboard",
    "lab run=one": "lab",
    "export run=one format=onnx": "onnx",
    "push run=one repo=me/faces": "hub",
    "generate run=hf:me/faces": "hub",
}


def test_the_base_alone_trains_and_names_the_extra_of_all_else(tmp_path: Path) -> None:
    """In one process, which finds no module that other packages have."""
    commands = " -- ".join([" ".join(TRAINING), *EXTRAS])
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/missing_packages.py"), commands],
        cwd=tmp_path, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert (tmp_path / "one/checkpoints/last.ckpt").is_file(), done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("ganforge: ")]
    assert len(lines) == len(EXTRAS), done.stderr
    for line, (command, extra) in zip(lines, EXTRAS.items(), strict=True):
        assert f"pip install 'ganforge[{extra}]'" in line, command
    assert "Traceback" not in done.stderr
