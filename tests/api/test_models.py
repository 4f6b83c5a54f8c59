"""``ganforge.load``: trained models as objects, and runs of before."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import ganforge as gf
from ganforge.models.gan import GAN
from ganforge.trained.load import build_data
from ganforge.utils.errors import UserError
from helpers import TINY_AVATARS, draw_pictures, ganforge, tiny_run

BEFORE = Path(__file__).parents[1] / "trained" / "before_the_rooms"


def pixels(folder: Path) -> torch.Tensor:
    """The pictures of seeds in a folder, uint8 ``N×C×H×W``."""
    files = sorted(folder.glob("seed_*.png"))
    return torch.stack([torch.tensor(np.array(Image.open(f))).permute(2, 0, 1) for f in files])


@pytest.fixture(scope="module")
def model() -> gf.load:
    return gf.load(BEFORE / "run", device="cpu")


@pytest.mark.parametrize("kind", ["run", "bundle"])
def test_what_was_made_before_the_rooms_loads_and_draws_the_same_pictures(kind: str) -> None:
    model = gf.load(BEFORE / kind, device="cpu")
    assert model.step == 2
    assert model.classes == ["bald", "short", "bob", "long", "bun", "afro"]
    images = model.sample(4, seed=3, truncation=0.7, label="bob")
    assert images.dtype == torch.uint8
    assert torch.equal(images, pixels(BEFORE / "pictures"))


def test_samples_are_the_pictures_of_the_command(model: gf.load, tmp_path: Path) -> None:
    words = [f"run={BEFORE / 'run'}", "n=70", "seed=5", f"output={tmp_path / 'made'}", "device=cpu"]
    assert ganforge("generate", *words) == 0
    assert torch.equal(model.sample(70, seed=5), pixels(tmp_path / "made"))


def test_latents_are_those_of_seeds(model: gf.load) -> None:
    z = model.latents([3, 17])
    assert torch.equal(z, model.space("z", label=0).latents([3, 17]))
    assert torch.equal(model.decode(z[1:], label=2), model.sample(1, seed=17, label=2))


def test_wrong_questions_are_answered_in_a_sentence(model: gf.load) -> None:
    with pytest.raises(UserError, match="no space w"):
        model.space("w", label=0)
    with pytest.raises(UserError, match="say which one"):
        model.decode(model.latents([0]))
    with pytest.raises(UserError, match="not among the 6 classes"):
        model.sample(1, label="mohawk")
    with pytest.raises(UserError, match="n=0"):
        model.sample(0)


def test_a_model_is_exported_and_opened_again(model: gf.load, tmp_path: Path) -> None:
    files = model.export(tmp_path / "faces", picture=False)
    assert files == ["model.safetensors", "config.json", "README.md"]
    again = gf.load(tmp_path / "faces", device="cpu")
    assert torch.equal(again.sample(2, seed=1), model.sample(2, seed=1))


def mean_distance(model: gf.load) -> float:
    """Of translations and truth in [0, 1], over all test images."""
    data = build_data(model.loaded, None)
    grey, truth = (data.domain(side).split("test").images[:] for side in "ab")
    return (model.translate(grey).float() - truth.float()).abs().mean().item() / 255


def test_a_translator_translates(tmp_path: Path) -> None:
    overrides = ["model=pix2pix", "data=colorize", "data@dataset=avatars", "data.size=32"]
    overrides += ["dataset.source.train_count=8", "dataset.source.test_count=4", "debug=fast"]
    overrides += ["dataset.source.workers=1", "data.batch_size=4", "model.generator.width=4"]
    overrides += ["model.generator.downsamplings=3", "model.discriminator.layers=1"]
    model = gf.load(tiny_run(overrides, tmp_path / "run"), device="cpu")
    assert model.directions == ["a_to_b"]
    grey = torch.randint(256, (2, 1, 32, 32), dtype=torch.uint8)
    images = model.translate(grey, "a_to_b")
    assert torch.equal(images, model.module.translate(grey, "a_to_b"))
    scores = {
        score.metric: score for score in model.score(metrics=["fid"], features="efficientnet_lite0")
    }
    assert scores["l1_"].protocol.n_fake == 4
    assert scores["l1_"].value == pytest.approx(mean_distance(model), rel=1e-4)
    assert scores["fid"].name == "fid_tied4_test_a_to_b"
    with pytest.raises(UserError, match="takes 1"):
        model.translate(images, "a_to_b")
    with pytest.raises(UserError, match="use a_to_b"):
        model.translate(grey, "b_to_a")
    with pytest.raises(UserError, match="uint8"):
        model.translate(grey.float())


def test_findings_are_shown_and_saved(tmp_path: Path) -> None:
    run = tiny_run([*TINY_AVATARS, "model=gan", "debug=fast"], tmp_path / "run")
    model = gf.load(run, device="cpu")
    found = model.explore("interpolation", a=[0], b=[1], steps=3, frames=2, path_length=0)
    assert found._repr_png_().startswith(b"\x89PNG")
    assert 'src="data:image/gif;base64,' in found._repr_html_()
    assert found.save(tmp_path / "found")[-1] == "explore.json"
    words = ["tool.a=[0]", "tool.b=[1]", "tool.steps=3", "tool.frames=2", "tool.path_length=0"]
    assert ganforge("explore", f"run={run}", f"output={tmp_path / 'told'}", *words) == 0
    for path in (tmp_path / "told").iterdir():
        assert path.read_bytes() == (tmp_path / "found" / path.name).read_bytes()
    with pytest.raises(UserError, match="stops"):
        model.explore("interpolation", a=[0], b=[1], stops=3)


def test_scores_are_those_of_the_command(tmp_path: Path) -> None:
    run = tiny_run([*TINY_AVATARS, "model=gan", "debug=fast"], tmp_path / "run")
    model = gf.load(run, device="cpu")
    (fid,) = model.score(n=16, metrics=["fid"])
    words = ["n=16", "path_pairs=0", "metrics=basic", "device=cpu", "~metrics.kid", "~metrics.is"]
    path = tmp_path / "scores.json"
    assert ganforge("evaluate", f"run={run}", f"output={path}", *words) == 0
    (record,) = json.loads(path.read_text())
    assert record["value"] == fid.value
    assert "fid" in fid.name
    files = draw_pictures(tmp_path / "pictures", 8, side=32)
    (same,) = gf.score(files, files, "efficientnet_lite0", ["fid"], device="cpu")
    assert same.value == pytest.approx(0, abs=1e-3)
    with pytest.raises(UserError, match="choose from"):
        gf.score(files, files, "efficientnet_lite0", ["fidelity"])


def test_a_built_model_trains_with_a_plain_trainer_on_tensors_and_on_pairs(
    tmp_path: Path, tiny_trainer: object
) -> None:
    images = torch.randint(256, (8, 3, 32, 32), dtype=torch.uint8)
    labels = torch.arange(8) % 2
    small = ["data.size=32", "model.generator.width=4", "model.discriminator.width=4"]
    plain = gf.build(gf.compose("model=dcgan", "data=avatars", *small).model)
    assert isinstance(plain, GAN)
    before = next(plain.generator.parameters()).clone()
    tiny_trainer(max_steps=2).fit(plain, DataLoader(images, batch_size=4))
    assert not torch.equal(before, next(plain.generator.parameters()))
    words = [*small, "conditioning=projection"]
    other = gf.build(gf.compose("model=dcgan", "data=avatars", *words).model)
    pairs = DataLoader(TensorDataset(images, labels), batch_size=4)
    tiny_trainer(max_steps=2).fit(other, pairs)
    assert other.images_seen == 8


def test_a_checkpoint_alone_says_what_opens_it() -> None:
    with pytest.raises(TypeError, match=r"ganforge\.load\(RUN\)\.module"):
        GAN.load_from_checkpoint(str(BEFORE / "run" / "checkpoints" / "last.ckpt"))
