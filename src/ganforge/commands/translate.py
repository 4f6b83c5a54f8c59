"""``ganforge translate``: image files of any size through a trained translator."""

from functools import partial
from pathlib import Path

from omegaconf import DictConfig
from rich.progress import track

from ganforge.data.listing import some
from ganforge.trained.load import load_run
from ganforge.trained.translate import Order, translate_files
from ganforge.utils.terminal import relative_path, terminal


def translate(config: DictConfig) -> None:
    """Translate a file or every image of a folder; unreadable ones are reported and left out."""
    paths = (Path(config[key]).expanduser() for key in ("input", "output"))
    order = Order.of(*paths, config.tile, config.overlap)
    loaded = load_run(config.run, config.checkpoint, config.device, config.trusted)
    console = terminal(stderr=True)
    done = translate_files(
        loaded,
        order,
        config.direction,
        tile=config.tile,
        overlap=config.overlap,
        seed=config.seed,
        value_range=config.value_range,
        track=partial(track, description="translating", console=console, transient=True),
    )
    for line in [*order.unreadable, *done.bad]:
        console.print(f"skipped: {line}", soft_wrap=True)
    if done.several:
        console.print(f"pages or frames: {some(done.several)}", soft_wrap=True)
    count = len(order.written)
    terminal().print(
        f"{count - len(done.bad)} of {count} images translated {config.direction} by step "
        f"{loaded.step} into {relative_path(order.output)}",
        soft_wrap=True,
    )
