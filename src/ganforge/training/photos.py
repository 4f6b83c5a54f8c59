"""``experiment=photos``: a look at the pictures first, and what follows from it as plain keys.

What is set here is printed as keys that could have been typed, and kept in the run's overrides: the
same words train the same run. A key that was typed stays as it is.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.config.arguments import unquoted
from ganforge.config.compose import composed
from ganforge.utils.errors import UserError

if TYPE_CHECKING:
    from ganforge.data.look import Look

RECIPE = "experiment=photos"
PATH, BUDGET = "data.source.path", "budget"
FLAGS = ("-m", "--multirun")
ASKING = ("--cfg", "-c", "--info", "-i", "--resolve")
SIZES = (32, 64, 128, 256)
LARGEST_ON_CPU, LARGEST_ON_GPU = 64, 128
FEW = 5000  # pictures, from which on shifting them is augmentation enough
AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(kimg|s|m|min|h|d)")
SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
TRAINING_SHARE = 0.7  # of the time; the rest is for scores, pictures and checkpoints
LOOKS, PICTURES = 4, 40  # scores and grids of a training


@dataclass(frozen=True)
class Setting:
    """A key, the value that follows from the pictures, and why."""

    key: str
    value: object
    why: str

    @property
    def word(self) -> str:
        """As it is typed."""
        return f"{self.key}={self.value}"


def fitted(words: Sequence[str]) -> list[str]:
    """The arguments of ``ganforge train`` with what follows from the pictures of the recipe."""
    typed = dict(word.split("=", 1) for word in words if "=" in word)
    asks = any(word.startswith(("resume.run=", "resume=", "debug=")) for word in words)
    if RECIPE not in words or PATH not in typed or asks or set(ASKING) & set(words):
        if BUDGET in typed and RECIPE not in words:
            raise UserError("budget= belongs to experiment=photos: elsewhere trainer.max_steps=N")
        return list(words)
    from ganforge.data.look import look_at
    from ganforge.training.machine import data_dir

    seen = look_at(unquoted(typed[PATH]), data_dir())
    settings = [s for s in _follows(seen, typed) if s.key not in typed]
    words = [*words, *(setting.word for setting in settings)]
    if BUDGET in typed and "trainer.max_steps" not in typed:
        length = _length(unquoted(typed[BUDGET]), words)
        settings.append(length)
        words.append(length.word)
    steps = next((s.value for s in settings if s.key == "trainer.max_steps"), None)
    if steps := steps or _number(typed.get("trainer.max_steps")):
        rhythm = [s for s in _rhythm(int(str(steps))) if s.key not in typed]
        settings += rhythm
        words += [setting.word for setting in rhythm]
    from ganforge.training.cluster import rank_of_start

    if rank_of_start() == 0:
        _tell(seen, settings, typed)
    return words


def _follows(seen: "Look", typed: dict[str, str]) -> Iterator[Setting]:
    """What the pictures and this machine decide."""
    import torch

    gpu = torch.cuda.is_available() and typed.get("trainer.accelerator", "auto") != "cpu"
    largest = LARGEST_ON_GPU if gpu else LARGEST_ON_CPU
    fits = [size for size in SIZES if size <= min(seen.side, largest)]
    size = max(fits, default=SIZES[0])
    why = "what this GPU trains well" if gpu else "what a CPU trains in its time"
    yield Setting(
        "data.size", size, why if size == largest else f"the shorter side is mostly {seen.side}"
    )
    if seen.all_grey:
        yield Setting("data.channels", 1, "no picture has a colour")
    few = seen.count < FEW
    yield Setting(
        "augment", "diffaugment" if few else "translation",
        f"{'fewer' if few else 'not fewer'} than {FEW:,} pictures",
    )  # fmt: skip
    batch = 64 if gpu else 32
    while batch > 4 and batch > seen.count // 4:
        batch //= 2
    yield Setting("data.batch_size", batch, "for this GPU" if gpu else "for a CPU")


def _rhythm(steps: int) -> Iterator[Setting]:
    """How often is looked, for a length."""
    yield Setting(
        "callbacks.image_quality.every_n_steps", max(1, steps // LOOKS),
        f"{LOOKS} scores: they take their time",
    )  # fmt: skip
    yield Setting(
        "callbacks.sample_grid.every_n_steps", max(10, steps // PICTURES), f"{PICTURES} pictures"
    )


def _length(budget: str, words: Sequence[str]) -> Setting:
    match = AMOUNT.fullmatch(budget.strip().lower())
    if not match:
        raise UserError(f"budget={budget} is no length: say 30m, 4h or 100kimg")
    amount, unit = float(match[1]), match[2]
    if set(FLAGS) & set(words):
        if unit != "kimg":
            raise UserError(
                "a sweep's jobs have one length: say budget=100kimg or trainer.max_steps=N"
            )
        batch = _number(dict(w.split("=", 1) for w in words if "=" in w).get("data.batch_size"))
        if batch is None:
            raise UserError("a sweep over batch sizes needs trainer.max_steps=N, not a budget")
        return Setting("trainer.max_steps", max(1, round(1000 * amount / batch)), f"{budget}")
    config = composed([word for word in words if not word.startswith(f"{BUDGET}=")])
    batch = config.data.batch_size
    if unit == "kimg":
        steps, why = 1000 * amount / batch, f"{amount:g} thousand images"
    else:
        from ganforge.training.cluster import started_together
        from ganforge.training.measured_speed import images_per_second

        if started_together() > 1:
            raise UserError("budget= measures one process: give several trainer.max_steps=N")
        speed = images_per_second(config)
        steps = TRAINING_SHARE * amount * SECONDS[unit] * speed / batch
        why = f"{speed:.0f} images a second here, {100 * TRAINING_SHARE:.0f} % of {budget} to train"
    return Setting("trainer.max_steps", max(1, round(steps)), why)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _tell(seen: "Look", settings: Sequence[Setting], typed: dict[str, str]) -> None:
    """The pictures as a table, and what follows from them as keys."""
    from rich.table import Table

    from ganforge.utils.terminal import terminal

    console = terminal()
    facts = Table(title=f"What lies in {Path(unquoted(typed[PATH])).name}", title_justify="left",
                  title_style="bold", show_header=False)  # fmt: skip
    for name, told in seen.table().items():
        facts.add_row(name, told)
    console.print(facts)
    table = Table(title="What follows", title_justify="left", title_style="bold")
    table.add_column("key", no_wrap=True)
    table.add_column("because")
    for setting in settings:
        table.add_row(setting.word, setting.why)
    console.print(table)
    if "data.flip" not in typed:
        console.print("data.flip=true mirrors every second picture: only where mirrored ones occur")
    console.print()
