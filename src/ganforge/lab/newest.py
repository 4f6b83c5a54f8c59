"""The rule of latency: of all that was asked for, the newest is drawn; what is older is dropped."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from ganforge.utils.errors import GanforgeError

Wish = TypeVar("Wish")
Made = TypeVar("Made")


class Newest(Generic[Wish, Made]):
    """Draws wishes in a thread, one at a time; a newer wish replaces the one that waits meanwhile.

    ``show`` gets what was made and ``fail`` a sentence. The next one is begun when ``shown`` ends:
    when the browser has the last picture, so that none waits on the way to it either.
    """

    def __init__(
        self,
        draw: Callable[[Wish], Made],
        show: Callable[[Made], None],
        fail: Callable[[str], None],
        shown: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.draw, self.show, self.fail, self.shown = draw, show, fail, shown
        self._waiting: list[Wish] = []
        self._task: asyncio.Task[None] | None = None
        self.closed = False

    def ask(self, wish: Wish) -> None:
        """Ask for a picture; one that waits is forgotten."""
        self._waiting = [wish]
        if self._task is None and not self.closed:
            self._task = asyncio.get_running_loop().create_task(self._work())

    def close(self) -> None:
        """The page is gone: draw nothing more."""
        self.closed, self._waiting = True, []

    @property
    def idle_now(self) -> bool:
        """Whether nothing is drawn and nothing waits."""
        return self._task is None

    async def idle(self) -> None:
        """Wait until nothing is asked for any more."""
        while self._task is not None:
            await asyncio.sleep(0.005)

    async def _work(self) -> None:
        try:
            while self._waiting:
                wish = self._waiting.pop()
                try:
                    made = await asyncio.to_thread(self.draw, wish)
                except GanforgeError as error:
                    if not self.closed:
                        self.fail(str(error))
                    continue
                if self.closed:
                    return
                self.show(made)
                if self.shown is not None:
                    await self.shown()
        finally:
            self._task = None
            if self._waiting and not self.closed:  # asked for after the last look
                self.ask(self._waiting[-1])
