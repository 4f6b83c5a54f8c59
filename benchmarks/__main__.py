"""``python -m benchmarks``: ganforge beside plain programs that do the same, in turn."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import (
    adversarial,
    choices,
    cyclegan,
    features,
    growth,
    lab,
    loading,
    retouch,
    startup,
)
from ganforge.utils.files import write_json

CASES = {
    **dict.fromkeys(adversarial.CASES, adversarial.run),
    **dict.fromkeys(cyclegan.SIZES, cyclegan.run),
    "choices": choices.run,
    "features": features.run,
    "loading": loading.run,
    "startup": startup.run,
    "growth": growth.run,
    "lab": lab.run,
    "retouch": retouch.run,
}
DEFAULT = ("dcgan64", "cyclegan128", "features", "loading", "startup")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; ``case=a,b`` and other ``key=value`` words may stand anywhere."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"cases: {', '.join(CASES)}; default: case={','.join(DEFAULT)}",
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of every loop (default 3)")
    parser.add_argument("--steps", type=int, default=20, help="timed steps a turn (default 20)")
    parser.add_argument("--batch-size", type=int, default=64, help="images a step (default 64)")
    parser.add_argument("--images", type=int, default=10_000, help="of features and loading")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run?")
    parser.add_argument("--output", type=Path, default=Path("outputs/bench"), help="JSON's folder")
    parser.add_argument("overrides", nargs="*", help="case=..., key=value of the training config")
    options = parser.parse_intermixed_args(arguments)
    if min(options.rounds, options.steps, options.batch_size, options.images) < 1:
        parser.error("--rounds, --steps, --batch-size and --images must be at least 1")
    named = [word[5:].split(",") for word in options.overrides if word.startswith("case=")]
    options.cases = [case for names in named for case in names] or list(DEFAULT)
    options.overrides = [word for word in options.overrides if not word.startswith("case=")]
    if unknown := [case for case in options.cases if case not in CASES]:
        parser.error(f"there is no case {unknown[0]!r}: there are {', '.join(CASES)}")
    if options.quick:
        options.rounds, options.steps = 1, min(options.steps, 3)
        options.images = min(options.images, 500)
    return options


def main(arguments: list[str] | None = None) -> None:
    """Measure case after case; print each table and write each file."""
    options = parse_arguments(arguments)
    console = Console()
    for case in options.cases:
        record: dict[str, Any] = CASES[case](case, options, console)
        path = options.output / f"{case}-{record['date'].replace(':', '')}.json"
        write_json({"case": case, **record}, path)
        console.print(f"written: {path}\n", highlight=False)


if __name__ == "__main__":
    main()
