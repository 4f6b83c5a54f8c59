"""Programs for other runtimes answer as the run does at any batch and size, or are not written."""

import json
from collections.abc import Sequence
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor

from ganforge.config.build import build
from ganforge.models.translator import Translator
from ganforge.sharing.export import Wish
from ganforge.sharing.formats import export_as
from ganforge.sharing.program_files import Onnx, TorchExport, write_programs
from ganforge.sharing.programs import programs
from ganforge.trained.load import LoadedRun
from ganforge.utils.errors import UserError
from ganforge.utils.images import to_uint8
from ganforge.utils.runs import Run
from helpers import composed, ganforge, options

SMALL = ["data.size=32", "model.generator.width=4", "model.discriminator.width=4"]
CYCLEGAN = ["model=cyclegan", "data.size=16", "model.a_to_b.width=4", "model.a_to_b.blocks=1",
            "model.critic_a.width=4"]  # fmt: skip
PIX2PIX = ["model=pix2pix", "data.size=16", "model.generator.width=4",
           "model.generator.downsamplings=4", "model.discriminator.width=4"]  # fmt: skip


def made(words: Sequence[str], folder: Path) -> LoadedRun:
    """A model as it begins, but for its biases: pictures that are not all alike."""
    config = composed("train", [*words, f"name={folder.name}"], folder, folder)
    torch.manual_seed(0)
    module = build(config.model).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return LoadedRun(Run(folder), config, module, 7, False)


def run_onnx(path: Path, **inputs: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {name: tensor.numpy() for name, tensor in inputs.items()}
    return torch.from_numpy(session.run(None, feed)[0])


def levels_apart(a: Tensor, b: Tensor) -> int:
    assert a.dtype == b.dtype == torch.uint8
    assert a.shape == b.shape
    return int((a.int() - b.int()).abs().max())


def test_an_onnx_generator_draws_the_pictures_of_seeds(tmp_path: Path) -> None:
    loaded = made(["model=dcgan", "data=avatars", *SMALL, "conditioning=concat"], tmp_path)
    files, lines = export_as(loaded, tmp_path / "faces.onnx", None, Wish(license="CC0-1.0"))
    assert files == [tmp_path / "faces.onnx"]
    assert "opset 18" in lines[0]
    assert "z float32 n×100, labels int64 n → made float32 n×3×32×32" in lines[0]
    assert "ms by onnxruntime" in lines[1]
    for count in (1, 5):
        z = loaded.module.draw_latents(count, torch.Generator().manual_seed(3))
        labels = torch.arange(count) % loaded.module.num_classes
        images = run_onnx(files[0], z=z, labels=labels)
        assert images.abs().max() <= 1
        assert levels_apart(to_uint8(images), loaded.module.generate(z, labels)) <= 1
    session = onnxruntime.InferenceSession(str(files[0]))
    shapes = [each.shape for each in (*session.get_inputs(), *session.get_outputs())]
    assert shapes == [["n", 100], ["n"], ["n", 3, 32, 32]]
    facts = json.loads(session.get_modelmeta().custom_metadata_map["ganforge"])
    assert (facts["step"], facts["license"]) == (7, "CC0-1.0")


def test_an_onnx_translator_takes_any_sides_and_uint8(tmp_path: Path) -> None:
    loaded = made([*PIX2PIX], tmp_path)
    files, _ = export_as(loaded, tmp_path / "t", "onnx", Wish(), uint8=True)
    assert files == [tmp_path / "t.onnx"]
    for height, width in ((16, 16), (33, 50)):
        images = torch.randint(256, (2, 1, height, width), dtype=torch.uint8)
        theirs = run_onnx(files[0], images=images)
        assert levels_apart(theirs, loaded.module.translate(images, "a_to_b")) <= 1


def test_an_exported_program_is_read_by_torch(tmp_path: Path) -> None:
    loaded = made(["model=frugal", "data=avatars", *SMALL], tmp_path)
    files, _ = export_as(loaded, tmp_path / "faces.pt2", None, Wish(), uint8=True)
    facts = {"ganforge.json": ""}
    program = torch.export.load(files[0], extra_files=facts).module()
    z = torch.cat([loaded.module.draw_latents(1, torch.Generator().manual_seed(s)) for s in (1, 2)])
    assert torch.equal(program(z), loaded.module.generate(z))
    assert json.loads(facts["ganforge.json"])["signature"].startswith("z float32 n×")


def test_what_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = made(["model=gan", "data=avatars", "data.size=8"], tmp_path)
    output = tmp_path / "wrong.pt2"
    for wrong in (lambda given: given + 3e-4, lambda given: given * float("nan")):
        reading = TorchExport.open

        def open_wrong(self: TorchExport, path: Path, wrong=wrong, reading=reading) -> object:
            answer = reading(self, path)
            return lambda *inputs: wrong(answer(*inputs))

        with monkeypatch.context() as patch:
            patch.setattr(TorchExport, "open", open_wrong)
            with pytest.raises(UserError, match="nothing was written"):
                write_programs(loaded, TorchExport(), output)
        assert not list(tmp_path.iterdir())


def test_what_is_there_stays_and_words_that_do_not_fit_are_told(tmp_path: Path) -> None:
    loaded = made(["model=gan", "data=avatars", "data.size=8"], tmp_path)
    (tmp_path / "x.pt2").write_text("years of work")
    with pytest.raises(UserError, match="is there already"):
        export_as(loaded, tmp_path / "x.pt2", None, Wish())
    with pytest.raises(UserError, match="ends as another format"):
        export_as(loaded, tmp_path / "x.pt2", "onnx", Wish())
    with pytest.raises(UserError, match="choose from safetensors, onnx"):
        export_as(loaded, None, "keras", Wish())
    with pytest.raises(UserError, match="uint8=true is for"):
        export_as(loaded, tmp_path / "x", None, Wish(), uint8=True)
    with pytest.raises(UserError, match="half and picture"):
        export_as(loaded, tmp_path / "x.onnx", None, Wish(half=True))
    assert (tmp_path / "x.pt2").read_text() == "years of work"


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"pip install 'ganforge\[onnx\]'"):
        Onnx()


def test_noise_of_a_translator_is_no_program(tmp_path: Path) -> None:
    words = [*PIX2PIX, "model.noise_at_test=true"]
    with pytest.raises(UserError, match="noise_at_test=false"):
        programs(made(words, tmp_path), uint8=False)


def test_toy_points_are_no_program(tmp_path: Path) -> None:
    assert ganforge("export", "run=nowhere", "output=x.onnx") == 2


WORDS = {
    "cyclegan": [*CYCLEGAN],
    "pix2pix": [*PIX2PIX],
    "region": ["experiment=eyes_avatars"],
    "mouth": ["experiment=mouth_avatars"],
    "colorize": ["experiment=pix2pix_colorize"],
}
SHAPES = {"r3gan": [], "gan": ["data=avatars", "data.size=16"]}


@pytest.mark.slow
@pytest.mark.parametrize("uint8", [False, True])
@pytest.mark.parametrize("model", [*options("model"), "mouth", "colorize"])
def test_every_model_is_a_program_of_both_formats(model: str, uint8: bool, tmp_path: Path) -> None:
    words = WORDS.get(model) or [f"model={model}", *SHAPES.get(model, ["data=avatars", *SMALL])]
    loaded = made(words, tmp_path)
    for writer in (Onnx(), TorchExport()):
        found = write_programs(loaded, writer, tmp_path / "p", uint8=uint8)
        assert max(each.difference for each in found) <= 1e-4
        ways = len(loaded.module.translators) if isinstance(loaded.module, Translator) else 1
        assert len(found) == ways
