"""Who may look at the lab."""

import asyncio
from typing import Any

import pytest

from ganforge.lab.guard import Guard, is_own


def answer(token: str | None, kind: str = "http", query: str = "", **headers: str) -> Any:
    """The status that a request gets; 0: it reached the lab."""
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        got.append({"status": 0})

    async def send(message: Any) -> None:
        got.append(message)

    pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    scope = {"type": kind, "path": "/edit", "query_string": query.encode(), "headers": pairs}
    asyncio.run(Guard(app, token)(scope, None, send))
    return got


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("token", "headers", "passes"),
    [
        (None, {"host": "127.0.0.1:8080"}, True),
        (None, {"host": "localhost:8080", "origin": "http://localhost:8080"}, True),
        (None, {"host": "[::1]:8080"}, True),
        (None, {"host": "evil.example:8080"}, False),  # a name that was bound to 127.0.0.1
        (None, {"host": "127.0.0.1:8080", "origin": "http://evil.example"}, False),
        (None, {"host": "127.0.0.1:8080", "origin": "null"}, False),
        (None, {}, False),
        ("key", {"host": "10.0.0.7:8080"}, False),
        ("key", {"host": "10.0.0.7:8080", "cookie": "ganforge_lab=key"}, True),
        ("key", {"host": "10.0.0.7:8080", "cookie": "ganforge_lab=kez; a=b"}, False),
        ("key", {"host": "10.0.0.7", "cookie": "ganforge_lab=key", "origin": "http://x"}, False),
        (None, {"host": "127.0.0.1", "content_length": str(65 << 20)}, False),
        (None, {"host": "127.0.0.1", "content_length": "many"}, False),
    ],
)
def test_who_is_let_in(kind: str, token: str | None, headers: dict[str, str], passes: bool) -> None:
    got = answer(token, kind, **headers)
    refused = (
        {"type": "websocket.close"} if kind == "websocket" else {"status": got[0].get("status")}
    )
    assert (got[0].get("status") == 0) is passes
    assert passes or refused.items() <= got[0].items()


def test_the_printed_link_leaves_a_cookie_and_the_address_without_the_token() -> None:
    start, body = answer("key", query="token=key&seed=7", host="10.0.0.7:8080")
    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"set-cookie"] == b"ganforge_lab=key; Path=/; HttpOnly; SameSite=Strict"
    assert b'url=/edit?seed=7"' in body["body"]
    assert b"key" not in body["body"]


def test_a_wrong_token_is_refused() -> None:
    assert answer("key", query="token=kex", host="10.0.0.7")[0]["status"] == 403
    assert answer("key", "websocket", query="token=key", host="10.0.0.7")[0]["type"] == (
        "websocket.close"
    )


def test_which_addresses_are_of_this_machine() -> None:
    assert all(map(is_own, ("127.0.0.1", "127.3.2.1", "::1", "localhost")))
    assert not any(map(is_own, ("0.0.0.0", "::", "192.168.1.2", "example.org", "")))
