"""The rule of latency: the newest wish is drawn, those between are dropped."""

import asyncio
import threading

from ganforge.lab.newest import Newest
from ganforge.utils.errors import UserError


def test_what_was_asked_for_meanwhile_is_dropped_but_the_newest() -> None:
    begun, go_on = threading.Event(), threading.Event()
    drawn: list[int] = []
    shown: list[int] = []

    def draw(wish: int) -> int:
        drawn.append(wish)
        begun.set()
        go_on.wait(10)
        return 10 * wish

    async def ask() -> None:
        newest = Newest(draw, shown.append, shown.append)
        newest.ask(1)
        await asyncio.to_thread(begun.wait, 10)
        for wish in range(2, 50):
            newest.ask(wish)
        go_on.set()
        await newest.idle()

    asyncio.run(ask())
    assert drawn == [1, 49]
    assert shown == [10, 490]


def test_the_next_is_begun_when_the_last_one_is_seen() -> None:
    events: list[str] = []

    async def ask() -> None:
        async def seen() -> None:
            newest.ask("b") if len(events) == 1 else None
            await asyncio.sleep(0.01)
            events.append("seen")

        newest = Newest(str.upper, events.append, events.append, seen)
        newest.ask("a")
        await newest.idle()

    asyncio.run(ask())
    assert events == ["A", "seen", "B", "seen"]


def test_an_error_is_a_sentence_and_the_next_wish_is_drawn() -> None:
    said: list[object] = []

    def draw(wish: int) -> int:
        if wish == 1:
            raise UserError("the run is gone")
        return wish

    async def ask() -> None:
        newest = Newest(draw, said.append, said.append)
        newest.ask(1)
        await newest.idle()
        newest.ask(2)
        await newest.idle()

    asyncio.run(ask())
    assert said == ["the run is gone", 2]


def test_a_page_that_was_left_is_told_nothing() -> None:
    said: list[int] = []

    async def ask() -> None:
        newest = Newest(lambda wish: wish, said.append, said.append)
        newest.ask(1)
        newest.close()
        await newest.idle()
        newest.ask(2)
        await newest.idle()

    asyncio.run(ask())
    assert said == []
