"""``ganforge train resume=...``: which run goes on, from which state, and whether it is the same.

``resume=outputs/<run>`` is short for ``resume.run=outputs/<run>``, ``resume=auto`` for
``resume.auto=true``.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganforge.config.arguments import quoted, unquoted
from ganforge.config.compose import composed
from ganforge.config.places import absolute_overrides, with_absolute_places
from ganforge.config.secrets import SECRET, without_secrets
from ganforge.training.cluster import started_together
from ganforge.utils.checkpoint_files import NAMES, is_good
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import atomic_path
from ganforge.utils.runs import Run, find_run
from ganforge.utils.terminal import told_if_slow

FREE = ("resume", "paths")


"""Keys that may differ: where things lie on this machine, and resuming itself."""


FOLDER, OUTPUT = "hydra.run.dir=", "paths.output_dir="


MULTIRUN = ("-m", "--multirun")


def complete_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments of ``ganforge train`` with what follows from ``resume=``.

    A run that goes on is composed from its own overrides and the given ones, and into its own
    folder, where Hydra writes nothing.
    """
    words = [_spelled_out(word) for word in arguments]
    if not any(word in MULTIRUN for word in words):  # one folder, whichever key names it
        words = [word.replace(OUTPUT, FOLDER, 1) if word.startswith(OUTPUT) else word
                 for word in words]  # fmt: skip
    elif any(word.startswith(OUTPUT) for word in words):
        raise UserError(
            "paths.output_dir is the folder of one run, and a sweep's jobs have one each: name "
            "that of the sweep, hydra.sweep.dir=FOLDER"
        )
    asked = [word for word in words if word.startswith(("resume.run=", "resume.auto="))]
    if not asked:
        return words
    if any(word in MULTIRUN for word in words):
        raise UserError("resume= continues a single run: remove --multirun")
    if asked == ["resume.auto=true"]:
        folder = _folder_to_continue(words)
        return words if folder is None else [*words, *_into(folder)]
    run = find_run(unquoted(asked[-1].partition("=")[2]))
    words = [word for word in words if not word.startswith("resume.run=")]
    from ganforge.config.trust import refuse_settings_of_hydra
    from ganforge.trained.bundle import is_bundle

    if is_bundle(run.folder):
        raise UserError(f"{run.folder} is a bundle, which cannot be gone on with: resume a run")
    refuse_settings_of_hydra(run, _overrides_of(run), "resume.trusted=true" in words)
    kept = [word for word in _overrides_of(run) if word not in words]
    return [*kept, *words, *_into(run.folder)]


def _spelled_out(word: str) -> str:
    key, equals, value = word.partition("=")
    if (key, equals) != ("resume", "="):
        return word
    return "resume.auto=true" if unquoted(value) == "auto" else f"resume.run={value}"


def _into(folder: Path) -> list[str]:
    """Overrides that put Hydra's job into ``folder``."""
    path = quoted(str(folder))
    return [f"resume.run={path}", f"{FOLDER}{path}"]


def _overrides_of(run: Run) -> list[str]:
    """What a run was started with."""
    from ganforge.config.reading import read_yaml

    path = run.config.with_name("overrides.yaml")
    lost = (
        f"without it nobody knows how {run.folder} was started; give the overrides again and "
        "resume=auto"
    )
    try:
        overrides = OmegaConf.to_container(read_yaml(path))
    except DamagedFileError as error:
        raise DamagedFileError(f"{error}: {lost}") from error
    if not isinstance(overrides, list) or not all(isinstance(word, str) for word in overrides):
        raise DamagedFileError(f"{path} is no list of overrides: {lost}")
    return [word for word in overrides if not word.startswith("resume")]


def _folder_to_continue(words: Sequence[str]) -> Path | None:
    """The newest unfinished run of the composed configuration; a given folder is the only one."""
    given = [word.removeprefix(FOLDER) for word in words if word.startswith(FOLDER)]
    if given:
        run = Run(Path(unquoted(given[-1])).resolve())
        return run.folder if run.config.is_file() else None
    if (processes := started_together()) > 1:
        raise UserError(
            f"resume=auto cannot choose one run for {processes} processes that were started "
            "together: name its folder, as in hydra.run.dir=outputs/NAME"
        )
    config = composed(words)
    newest_first = sorted(
        Path(config.paths.outputs).resolve().glob("*/.hydra/config.yaml"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    runs = (Run(path.parents[1]) for path in newest_first if not path.parents[1].is_symlink())
    return next((run.folder for run in runs if _can_go_on(run, config)), None)


def _can_go_on(run: Run, config: DictConfig) -> bool:
    from ganforge.training.locks import is_locked

    try:
        saved = OmegaConf.load(run.config)
    except Exception:  # noqa: BLE001 - a damaged run is not one to choose
        return False
    refused = [key for key in differences(saved, config) if not _allowed(key, config)]
    if refused or is_locked(run):
        return False
    return not is_finished(run, config)


@dataclass(frozen=True)
class State:
    """A checkpoint that can be gone on from, and the step it was made after.

    ``ended`` is the number of steps that were asked for where training was through by then, perhaps
    early; None where steps were to follow.
    """

    path: Path
    step: int
    ended: int | None = None


def newest_state(run: Run, say: Any = None) -> State | None:
    """The newest checkpoint of a run that is as it was written; ``say`` hears of damaged ones.

    One from before the first step is none: what happens before that step would happen twice.
    """
    found = _states(run, say)
    newest = max(found, key=lambda state: (state.step, state.ended is not None), default=None)
    return newest if newest and newest.step > 0 else None


def _states(run: Run, say: Any) -> list[State]:
    return [state for name in NAMES if (state := _state(run.checkpoints / name, say))]


def is_finished(run: Run, config: DictConfig) -> bool:
    """Whether nothing is left to do of a run: neither a step nor what follows the last one."""
    state = newest_state(run)
    return has_ended(state, config) and has_outcome(run)


def has_outcome(run: Run) -> bool:
    """Whether a training came to its very end."""
    try:
        return "error" not in json.loads(run.outcome.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def has_ended(state: State | None, config: DictConfig) -> bool:
    """Whether a state has all steps, or fewer where training was stopped early for good."""
    steps = config.trainer.max_steps
    return state is not None and (0 < steps <= state.step or state.ended == steps)


def state_to_train_from(run: Run, config: DictConfig, say: Any = None) -> State | None:
    """The state that a run goes on from, the same on all processes.

    A kill in between may leave the best state of the last step without that which training ended
    with: then the last steps are taken again.
    """
    state = newest_state(run, say)
    if state is None or state.step != config.trainer.max_steps or state.ended is not None:
        return state
    before = [each for each in _states(run, None) if 0 < each.step < state.step]
    return max(before, key=lambda each: each.step, default=state)


def _state(path: Path, say: Any) -> State | None:
    import torch

    if not path.is_file():
        return None
    with told_if_slow(f"checking {path}"):
        good = is_good(path) is not False
    if good:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            ended = state["callbacks"].get("Checkpoints", {}).get("ended")
            return State(path, int(state["global_step"]), ended)
        except Exception:  # noqa: BLE001 - whatever a damaged file raises
            pass
    if say is not None:
        say(f"{path} is damaged and left aside")
    return None


def state_to_continue(config: DictConfig) -> State | None:
    """Check that a run may go on with ``config`` and return from where; None is from the start.

    Raises UserError for another configuration and for a run that is finished.
    """
    from ganforge.config.trust import need_trust

    run = Run(Path(config.resume.run))
    if not config.resume.trusted:
        need_trust(run, config, "resume.trusted")
    changed = differences(_saved(run), config)
    refused = {key: pair for key, pair in changed.items() if not _allowed(key, config)}
    if refused:
        told = "; ".join(f"{key}: {old} → {new}" for key, (old, new) in sorted(refused.items()))
        raise UserError(
            f"{run.folder} was trained with another configuration ({told}): leave it as it was, or "
            f"allow it with resume.allow_change=[{','.join(sorted(refused))}]"
        )
    state = state_to_train_from(
        run, config, say=lambda text: print(f"ganforge: {text}", file=sys.stderr)
    )
    if state is not None and is_finished(run, config):
        raise UserError(
            f"{run.folder} is finished ({state.step} steps): to go on, give more steps: "
            f"trainer.max_steps={2 * state.step} resume.allow_change=[trainer.max_steps]"
        )
    return state


def need_fit(module: Any, state: State) -> None:
    """Raise UserError where the networks are not those of the state: what is kept stays so."""
    import torch

    saved = torch.load(state.path, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    shapes = [{k: tuple(v.shape) for k, v in each.items() if isinstance(v, torch.Tensor)}
              for each in (saved, module.state_dict())]  # fmt: skip
    before, now = shapes
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            old, new = (_size(each.get(key)) for each in shapes)
            raise UserError(
                f"the weights of {state.path} do not fit the networks ({key}: {old} → {new}): a "
                "run goes on with the sizes that it began with; start a new one for others"
            )


def _size(shape: tuple[int, ...] | None) -> str:
    return "none" if shape is None else "×".join(map(str, shape)) or "one number"


def begin_again(config: DictConfig) -> None:
    """Forget how a run ended, and keep a changed configuration with it."""
    run = Run(Path(config.resume.run))
    run.outcome.unlink(missing_ok=True)
    if not differences(_saved(run), config):
        return
    from hydra.core.hydra_config import HydraConfig

    kept = OmegaConf.merge(
        config, {"resume": {"run": None, "auto": False, "allow_change": [], "trusted": False}}
    )
    words = [w for w in HydraConfig.get().overrides.task if not w.startswith("resume")]
    words, kept = absolute_overrides(words, kept), with_absolute_places(kept)
    for path, content in ((run.config, kept), (run.config.with_name("overrides.yaml"), words)):
        with atomic_path(path) as temporary:
            OmegaConf.save(without_secrets(OmegaConf.create(content)), temporary)


def _saved(run: Run) -> DictConfig:
    from ganforge.trained.load import read_config

    return read_config(run)


def differences(old: DictConfig, new: DictConfig) -> dict[str, tuple[Any, Any]]:
    """What differs by dotted key, unresolved: the old value and the new one, None where missing."""
    placed = [OmegaConf.to_container(with_absolute_places(each), resolve=False)
              for each in (old, new)]  # fmt: skip
    a, b = (dict(_flat(each)) for each in placed)
    words = {key: key.split(".") for key in {**a, **b}}
    keys = [key for key, parts in words.items() if parts[0] not in FREE and SECRET not in parts]
    return {key: (a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key)}


def _flat(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(node, dict) or not node:
        yield prefix, node
        return
    for key, child in node.items():
        yield from _flat(child, f"{prefix}.{key}" if prefix else str(key))


def _allowed(key: str, config: DictConfig) -> bool:
    return any(key == each or key.startswith(f"{each}.") for each in config.resume.allow_change)
