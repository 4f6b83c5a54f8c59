"""``ganforge COMMAND key=value ...``: Hydra composes the configuration, a command runs it."""

import os
import sys
import warnings
from collections.abc import Callable
from importlib import import_module

from ganforge.config.compose import config_dir
from ganforge.config.sentences import explain_and_exit, fail
from ganforge.utils.own_classes import leave_current_folder, own_classes

COMMANDS = {
    "train": "train a model; pictures, scores and checkpoints go to outputs/<run>",
    "evaluate": "score a trained generator, or any images against any others",
    "compare": "rank runs measured alike: ganforge compare outputs/a outputs/b",
    "leaderboard": "rank all runs of a folder, with pictures: ganforge leaderboard outputs",
    "generate": "write pictures from seeds",
    "translate": "translate images with a trained CycleGAN or pix2pix",
    "retouch": "open closed eyes in photos, after another photo of the same person",
    "export": "take a trained generator elsewhere: a bundle, ONNX, torch.export, a Space",
    "push": "upload a trained generator to the Hugging Face hub",
    "pack": "write a data set larger than memory as an indexed stream",
    "dashboard": "build a W&B workspace: quality, balance, samples, speed",
    "lab": "touch a trained model in the browser: samples, sliders, arithmetic, photos, runs",
    "explore": "walk through latent space: interpolation, arithmetic, directions, projection",
}


def usage() -> str:
    """The text of ``ganforge --help``."""
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {name:<{width}}  {line}" for name, line in COMMANDS.items())
    return (
        "usage: ganforge COMMAND [key=value ...]\n\n"
        f"{lines}\n\n"
        "ganforge COMMAND --help lists what can be chosen, --cfg job prints the composed\n"
        "configuration. Start with: ganforge train\n"
        "ganforge zoo lists ready-made models: ganforge generate run=zoo:avatars32\n"
        "ganforge checks tells what this machine has, ganforge clean what can be removed;\n"
        "ganforge completion bash (or zsh, fish) prints what lets the shell complete all of it"
    )


def run_command(name: str) -> None:
    """Compose the configuration of a command from ``sys.argv`` and run it."""
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import DictConfig

    if name == "train":
        from ganforge.config.arguments import flags_first
        from ganforge.training.photos import fitted
        from ganforge.training.resume import complete_arguments

        words = complete_arguments(fitted(sys.argv[1:]))
        sys.argv[1:] = flags_first(for_this_rank(words))

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)
    def task(config: DictConfig) -> object:
        multirun = HydraConfig.get().mode == RunMode.MULTIRUN
        if multirun and name == "train":  # in a process that needs nothing of what its job imports
            return import_module("ganforge.sweeps.jobs").run_here(config)
        try:  # what is missing is reported before anything heavy is imported
            import_module("ganforge.config.checks").check_settings(config)
            command: Callable[[DictConfig], object] = getattr(
                import_module(f"ganforge.commands.{name}"), name
            )
            if name != "train":
                return command(config)
            with import_module("ganforge.training.claim").claimed(config), own_classes():
                return command(config)
        except Exception as error:
            if multirun:
                raise
            explain_and_exit(error)

    task()


def main() -> None:
    """Entry point: signals are obeyed from here on, and end in a sentence as errors do."""
    try:
        leave_current_folder()
    except FileNotFoundError:  # another process removed it
        fail("the current folder is gone: change into one that is there", 2)
    from ganforge.utils.stops import StopRequestedError, stoppable
    from ganforge.utils.terminal import open_for_any_text

    name = sys.argv[1] if len(sys.argv) > 1 else ""
    with stoppable():
        try:
            open_for_any_text()
            run()
        except StopRequestedError as stop:
            if name not in ("train", "job"):
                fail("interrupted", 128 + stop.number)
            kept = "what was saved is kept, and the same command with resume=auto goes on"
            fail(f"{stop.signal}: stopped; {kept}", 75)


def run() -> None:
    """Run one command: errors of the user are one sentence and exit code 2, damaged files 3."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return
    if arguments[0] in ("-V", "--version"):
        from ganforge import __version__

        print(f"ganforge {__version__}")
        return
    find_home()
    name = arguments[0]
    if name in ("completion", "complete"):
        complete(name, arguments[1:])
        return
    if name in ("checks", "clean", "zoo"):
        look_after(name, arguments[1:])
        return
    if name == "job":  # how a sweep starts each of its jobs
        run_job(arguments[1])
        return
    if name not in COMMANDS:
        from difflib import get_close_matches

        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        fail(f"there is no command {name!r}: {hint}", 2)
    if any(word in ("-h", "--help") for word in arguments[1:]):
        from ganforge.config.help import help_of

        print(
            help_of(name, COMMANDS[name], [w for w in arguments[1:] if w not in ("-h", "--help")])
        )
        return
    from ganforge.utils.memory import keep_freed_memory

    keep_freed_memory()
    sys.argv = [f"ganforge {name}", *arguments[1:]]
    # Lets errors through to the handler below instead of Hydra's own, which exits with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        from ganforge.config.arguments import prepared

        sys.argv[1:] = prepared(name, arguments[1:])
        if name == "train":
            run_train()
        else:
            run_command(name)
    except KeyboardInterrupt:
        fail("interrupted", 130)
    except Exception as error:  # noqa: BLE001 - raised again unless it is the user's
        explain_and_exit(error)


def complete(name: str, words: list[str]) -> None:
    """Print the script of a shell, or what the script asks for."""
    from ganforge.config.completion import SHELLS, completions

    if name == "complete":
        print("\n".join(completions([*COMMANDS, "checks", "clean", "zoo", "completion"], words)))
    elif len(words) == 1 and words[0] in SHELLS:
        print(SHELLS[words[0]])
    else:
        fail(f"ganforge completion needs a shell: {', '.join(SHELLS)}", 2)


def look_after(name: str, words: list[str]) -> None:
    """Print what this machine has, or what ganforge brings along; clear what can be made again."""
    try:
        if name == "zoo":
            print(import_module("ganforge.trained.named").listing())
            return
        machine = import_module("ganforge.training.machine")
        print(machine.checks() if name == "checks" else machine.clean(words))
    except Exception as error:  # noqa: BLE001 - raised again unless it is the user's
        explain_and_exit(error)


def run_train() -> None:
    """Train once, or sweep and tell at the end what came of it, an interruption included."""
    from ganforge.sweeps.jobs import as_sweep, resumed_arguments
    from ganforge.sweeps.manifest import Sweep
    from ganforge.utils.errors import UserError
    from ganforge.utils.terminal import telling

    # Of Optuna, on what its versions keep.
    warnings.filterwarnings("ignore", message=".*(is an experimental feature|is experimental).*")
    sys.argv[1:] = resumed_arguments(as_sweep(sys.argv[1:]))
    import_module("ganforge.config.secrets").refuse_secrets(sys.argv[1:])
    Sweep.started.clear()
    error: BaseException | None = None
    try:
        run_command("train")
    except (Exception, KeyboardInterrupt) as caught:  # noqa: BLE001 - raised below
        error = caught
    for sweep in Sweep.started:
        sentence = None
        with telling("the ranking"):
            sentence = import_module("ganforge.sweeps.report").report(sweep)
        if sentence and not isinstance(error, KeyboardInterrupt):
            raise UserError(sentence) from error
    if error is not None:
        raise error


def run_job(folder: str) -> None:
    """Run one job of a sweep; its error is the last line of its log."""
    from ganforge.sweeps.process import stop_with_starter

    stop_with_starter()
    try:
        job = import_module("ganforge.training.job").job
        with own_classes():
            job(folder)
    except Exception as error:  # noqa: BLE001 - raised again unless it is the user's
        explain_and_exit(error)


def find_home() -> None:
    """Let HOME be the user's where a service or container left it unset; a cache needs a place."""
    if os.environ.get("GANFORGE_DATA") == "":
        fail("GANFORGE_DATA is empty: name the folder of cached data, or unset it", 2)
    if os.environ.get("HOME"):
        return
    os.environ.pop("HOME", None)
    home = os.path.expanduser("~")
    if home != "~":
        os.environ["HOME"] = home
    elif "GANFORGE_DATA" not in os.environ:
        fail("HOME is not set, and this user has none: let GANFORGE_DATA name a folder", 2)


def for_this_rank(arguments: list[str]) -> list[str]:
    """The arguments of one of the processes that torchrun or srun started.

    Each of them composes the configuration; the first one alone has a folder and writes into it.
    """
    from ganforge.training.cluster import rank_of_start

    named = any(word.startswith("hydra.run.dir=") for word in arguments)
    if named or rank_of_start() == 0:
        return arguments
    return [*arguments, "hydra.run.dir=."]


if __name__ == "__main__":
    main()
