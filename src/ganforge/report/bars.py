"""Progress bars with the time left, on standard error; where there is no terminal, none."""

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ganforge.metrics.features import Progress as Report
from ganforge.utils.ranks import world
from ganforge.utils.terminal import terminal


class Bars(AbstractContextManager):
    """``bars(what, total)`` shows a bar and returns the function that moves it on."""

    def __init__(self) -> None:
        console = terminal(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal or world()[0] > 0,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, what: str, total: int) -> Report:
        """Add a bar for ``total`` images, of which this process takes its share."""
        task = self._progress.add_task(what, total=-(-total // world()[1]))
        return lambda count: self._progress.advance(task, count)
