"""What a trained model can be taken elsewhere as: one name a format."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ganforge.sharing.export import Wish, export
from ganforge.sharing.program_files import Onnx, TorchExport, Writer, Written, write_programs
from ganforge.sharing.space import write_space
from ganforge.trained.load import LoadedRun
from ganforge.utils.errors import UserError
from ganforge.utils.terminal import relative_path

Lines = list[str]


def export_as(
    loaded: LoadedRun, output: Path | None, name: str | None, wish: Wish, *, uint8: bool = False
) -> tuple[list[Path], Lines]:
    """Write a model in a format, by default that of ``output``'s ending, else a bundle.

    Returns the files and a line about each thing that was written.
    """
    if name is None:
        name = ENDINGS.get(output.suffix, "safetensors") if output else "safetensors"
    if name not in FORMATS:
        raise UserError(f"format={name} is not written: choose from {', '.join(FORMATS)}")
    ending = next((ending for ending, known in ENDINGS.items() if known == name), "")
    if output is None:
        place = {"safetensors": "bundle", "space": "space"}.get(name, "model")
        output = loaded.place(place + ending)
    elif ENDINGS.get(output.suffix, name) != name:
        raise UserError(f"output={output} ends as another format than format={name} does")
    if uint8 and not ending:
        raise UserError("uint8=true is for format=onnx and format=torch_export")
    return FORMATS[name](loaded, output.expanduser(), wish, uint8)


def _bundle(loaded: LoadedRun, output: Path, wish: Wish, uint8: bool) -> tuple[list[Path], Lines]:  # noqa: ARG001
    return _folder(loaded, output, export(loaded, output, wish))


def _space(loaded: LoadedRun, output: Path, wish: Wish, uint8: bool) -> tuple[list[Path], Lines]:  # noqa: ARG001
    return _folder(loaded, output, write_space(loaded, output, wish))


def _folder(loaded: LoadedRun, output: Path, names: Iterable[str]) -> tuple[list[Path], Lines]:
    files = [output / name for name in names]
    of = f"Step {loaded.step} of {loaded.run.folder.name}"
    return files, [f"{of} in {relative_path(output)}: {', '.join(file.name for file in files)}"]


def _programs(writer: Callable[[], Writer]) -> Callable[..., tuple[list[Path], Lines]]:
    def write(loaded: LoadedRun, output: Path, wish: Wish, uint8: bool) -> tuple[list[Path], Lines]:
        if wish.half or not wish.picture:
            raise UserError("half and picture are for format=safetensors and format=space")
        with_what = writer()
        written = write_programs(
            loaded, with_what, output, uint8=uint8, overwrite=wish.overwrite, terms=wish.license
        )
        lines = [line for each in written for line in _told(loaded, with_what, each)]
        return [each.path for each in written], lines

    return write


def _told(loaded: LoadedRun, writer: Writer, written: Written) -> Lines:
    """Where it is, what goes in and out, how far from the run, and how long a picture takes."""
    size = written.path.stat().st_size / 1e6
    own, other = (f"{1e3 * each:.3g} ms" for each in (written.seconds_of_run, written.seconds))
    device = loaded.module.device.type
    return [
        f"Step {loaded.step} of {loaded.run.folder.name} in {relative_path(written.path)} "
        f"({writer.told}, {size:.2f} MB): {written.signature}",
        f"  at most {written.difference:.1g} from the run in [-1, 1]; one picture takes {other} "
        f"by {writer.runtime}, {own} by ganforge on {device} (one thread each)",
    ]


FORMATS: dict[str, Callable[..., tuple[list[Path], Lines]]] = {
    "safetensors": _bundle,
    "onnx": _programs(Onnx),
    "torch_export": _programs(TorchExport),
    "space": _space,
}
ENDINGS = {Onnx.ending: "onnx", TorchExport.ending: "torch_export"}
