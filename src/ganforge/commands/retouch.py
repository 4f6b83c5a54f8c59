"""``ganforge retouch``: a region of photos or films generated after an exemplar."""

from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from ganforge.config.build import build
from ganforge.data.faces import FaceFinder, Landmarks
from ganforge.data.film import read_sound
from ganforge.data.sound import resampled
from ganforge.data.speech import speak
from ganforge.models.region import RegionTranslator
from ganforge.retouch.choose import check_which
from ganforge.retouch.talk import Talker
from ganforge.retouch.work import Retoucher
from ganforge.trained.health import refuse_broken
from ganforge.trained.load import LoadedRun, load_run
from ganforge.utils.errors import UserError
from ganforge.utils.terminal import relative_path, terminal


def retouch(config: DictConfig) -> None:
    """Open eyes in a photo or a folder of photos, or move a mouth to a sound."""
    _check(config)
    loaded = _load(config)
    finder = Landmarks(config.landmarks) if config.landmarks else build(config.finder)
    if loaded.module.generator.hears:
        _speak(config, loaded, finder)
    else:
        _open_eyes(config, loaded, finder)


def _open_eyes(config: DictConfig, loaded: LoadedRun, finder: FaceFinder) -> None:
    if config.exemplar is None:
        raise UserError(
            "exemplar=PHOTO is missing: another photo of the same person, with open eyes"
        )
    if config.sound or config.say:
        raise UserError(
            f"{loaded.run.folder} opens eyes and hears nothing: leave sound and say out, or take a "
            "run of experiment=mouth_avatars"
        )
    judge = build(config.judge) if config.judge else None
    retoucher = Retoucher(
        loaded.module,
        finder,
        judge if judge and judge.is_there else None,
        config.face,
        config.exemplar_face,
        config.marks == "on",
    )
    source, exemplar, output = (_path(config[key]) for key in ("input", "exemplar", "output"))
    done = retoucher.photos(source, exemplar, output)
    for line in done.skipped:
        terminal(stderr=True).print(f"skipped: {line}", soft_wrap=True)
    count = len(done.written) + len(done.skipped)
    _tell(config, loaded, f"{len(done.written)} of {count} photos", output)


def _speak(config: DictConfig, loaded: LoadedRun, finder: FaceFinder) -> None:
    if config.face == "all":
        raise UserError("face=all: a sound is said by one mouth, choose which")
    talker = Talker(
        loaded.module,
        finder,
        config.face,
        config.exemplar_face,
        config.marks == "on",
        config.lossless,
    )
    exemplar = None if config.exemplar is None else _path(config.exemplar)
    source = _path(config.input)
    if not source.is_file():
        raise UserError(f"input={source} is neither a film nor a photo")
    path = talker.speak(source, _samples(config, loaded), exemplar, _path(config.output))
    _tell(config, loaded, "1 film", path)


def _samples(config: DictConfig, loaded: LoadedRun) -> np.ndarray:
    """What is to be said."""
    if (config.sound is None) == (config.say is None):
        raise UserError(
            f"{loaded.run.folder} moves a mouth to a sound: give one, sound=SPEECH.wav or "
            "say='some words'"
        )
    if config.sound is not None:
        return read_sound(_path(config.sound))
    said = speak(str(config.say), config.voice)
    return resampled(said.samples, said.rate)


def _tell(config: DictConfig, loaded: LoadedRun, what: str, where: Path) -> None:
    marked = "marked as synthetic" if config.marks == "on" else "without a mark"
    terminal().print(
        f"{what} retouched by step {loaded.step}, {marked}, into {relative_path(where)}",
        soft_wrap=True,
    )


def _path(value: Any) -> Path:
    return Path(str(value)).expanduser()


def _check(config: DictConfig) -> None:
    """Raise a UserError for settings that cannot be."""
    source, output = _path(config.input), _path(config.output)
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
