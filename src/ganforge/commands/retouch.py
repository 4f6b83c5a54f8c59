"""``ganforge retouch``: a region of photos generated after another photo of the same person."""

from pathlib import Path

from omegaconf import DictConfig

from ganforge.config.build import build
from ganforge.data.faces import Landmarks
from ganforge.models.region import RegionTranslator
from ganforge.retouch.choose import check_which
from ganforge.retouch.work import Retoucher
from ganforge.trained.health import refuse_broken
from ganforge.trained.load import LoadedRun, load_run
from ganforge.utils.errors import UserError
from ganforge.utils.terminal import shown, terminal


def retouch(config: DictConfig) -> None:
    """Retouch a photo or every photo of a folder, and say what became of them."""
    source, exemplar, output = (
        Path(config[key]).expanduser() for key in ("input", "exemplar", "output")
    )
    _check(config, source, output)
    loaded = _load(config)
    judge = build(config.judge) if config.judge else None
    retoucher = Retoucher(
        loaded.module,
        Landmarks(config.landmarks) if config.landmarks else build(config.finder),
        judge if judge and judge.is_there else None,
        config.face,
        config.exemplar_face,
        config.marks == "on",
    )
    done = retoucher.photos(source, exemplar, output)
    for line in done.skipped:
        terminal(stderr=True).print(f"skipped: {line}", soft_wrap=True)
    count = len(done.written) + len(done.skipped)
    marked = "marked as synthetic" if retoucher.mark else "without a mark"
    terminal().print(
        f"{len(done.written)} of {count} photos retouched by step {loaded.step}, {marked}, into "
        f"{shown(output)}",
        soft_wrap=True,
    )


def _check(config: DictConfig, source: Path, output: Path) -> None:
    """Raise a UserError for settings that cannot be."""
    check_which("face", config.face)
    check_which("exemplar_face", config.exemplar_face)
    if config.exemplar_face == "all":
        raise UserError("exemplar_face=all: an exemplar shows one person, choose which")
    if config.marks not in ("on", "off"):
        raise UserError(f"marks={config.marks}: choose on or off")
    if output.resolve() == (source if source.is_dir() else source.parent).resolve():
        raise UserError(f"output={output} is where the input lies: choose another folder")
    if output.exists() and not output.is_dir():
        raise UserError(f"output={output} is a file: choose a folder")


def _load(config: DictConfig) -> LoadedRun:
    loaded = load_run(config.run, config.checkpoint, config.device, config.trusted)
    if not isinstance(loaded.module, RegionTranslator):
        raise UserError(
            f"{loaded.run.folder} holds a {type(loaded.module).__name__}, which does not retouch: "
            "train one with model=region"
        )
    refuse_broken(loaded)
    return loaded
