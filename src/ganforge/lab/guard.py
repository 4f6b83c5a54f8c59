"""Who may look: this machine's own browser, and elsewhere whoever has the printed link."""

import ipaddress
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE, KEY = "ganforge_lab", "token"
MOST_BYTES = 64 << 20  # of what a browser may send at once


def is_own(address: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def new_token() -> str:
    """What nobody guesses."""
    return secrets.token_urlsafe(24)


class Guard:
    """ASGI middleware: lets requests through that come from a page of this lab.

    Without a ``token``, hosts must be this machine's own names, so that no page of another site
    reaches the lab under a name of its own. With one, requests must have it: from the printed link
    first, then in a cookie.
    """

    def __init__(self, app: App, token: str | None = None) -> None:
        self.app, self.token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        length = headers.get("content-length", "0")
        given = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        if origin is not None and urlsplit(origin).netloc != host:
            await _answer(scope, send, 403, "Another page asked for this: open the lab itself.")
        elif self.token is None and not is_own(urlsplit(f"//{host}").hostname or ""):
            await _answer(scope, send, 403, "The lab is reached as 127.0.0.1 or localhost only.")
        elif not length.isdecimal() or int(length) > MOST_BYTES:
            await _answer(scope, send, 413, f"More than {MOST_BYTES >> 20} MB were sent at once.")
        elif self.token is None or self._same(_cookie(headers.get("cookie", ""))):
            await self.app(scope, receive, send)
        elif scope["type"] == "http" and self._same(given.pop(KEY, "")):
            place = scope["path"] + (f"?{urlencode(given)}" if given else "")
            cookie = f"{COOKIE}={self.token}; Path=/; HttpOnly; SameSite=Strict"
            # Not a redirect: a cookie that is strict is not sent along with one from elsewhere.
            page = f'<meta http-equiv="refresh" content="0; url={_attribute(place)}">'
            await _answer(scope, send, 200, page, "text/html", cookie)
        else:
            await _answer(scope, send, 403, "Open the link that ganforge lab printed.")

    def _same(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), (self.token or "").encode())


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _attribute(text: str) -> str:
    return escape("/" + text.lstrip("/\\"), quote=True)


async def _answer(
    scope: Scope, send: Send, status: int, text: str, kind: str = "text/plain", cookie: str = ""
) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": text[:100]})
        return
    headers = [
        (b"content-type", f"{kind}; charset=utf-8".encode()),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"no-referrer"),
    ]
    if cookie:
        headers.append((b"set-cookie", cookie.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
