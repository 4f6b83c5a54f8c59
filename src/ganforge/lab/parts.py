"""The parts that pages are made of: plain HTML elements, held by NiceGUI."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments
from torch import Tensor

from ganforge.lab.newest import Newest
from ganforge.lab.pictures import data_url

MOST_SENT = 60 << 20  # bytes of files at once: less than the guard lets through
SECONDS = 1.0  # that a browser may take to show a picture before the next one is drawn
VALUE = "(event) => emit(event.target.value)"
Handler = Callable[[], Any]


def make(tag: str, text: str = "", classes: str = "", **attributes: Any) -> TextElement:
    """An element of HTML; attributes that are None are left out."""
    made = TextElement(tag=tag, text=text).classes(classes)
    for key, value in attributes.items():
        if value is not None:
            made.props[key.rstrip("_").replace("_", "-")] = value
    return made


def button(text: str, action: Handler | None = None, main: bool = False, **more: Any) -> Element:
    """A button; ``action`` runs where the program does."""
    made = make("button", text, "btn main" if main else "btn", type="button", **more)
    if action is not None:
        made.on("click", lambda: action(), args=[])
    return made


def link(text: str, target: str, classes: str = "btn", **more: Any) -> Element:
    """A link to another page of the lab."""
    return make("a", text, classes, href=target, **more)


def picture(url: str = "", alt: str = "", classes: str = "") -> TextElement:
    """An image."""
    return make("img", "", classes, src=url or None, alt=alt, draggable="false")


def slide(
    name: str, low: float, high: float, step: float, value: float, action: Callable[[float], Any]
) -> Element:
    """A slider that tells every value on the way; its name is what a screen reader says."""
    made = make(
        "input", type="range", min=low, max=high, step=step, defaultValue=value, aria_label=name
    )
    made.on("input", lambda e: action(number(e)), js_handler=VALUE)
    return made


def number(event: GenericEventArguments) -> float:
    """The number that an element tells; 0 for anything that is none."""
    try:
        return float(event.args)
    except (TypeError, ValueError):
        return 0.0


def choice(
    name: str, options: dict[str, str], chosen: str, action: Callable[[str], Any], **more: Any
) -> Element:
    """A menu of values and their words."""
    with make("select", aria_label=name, **more) as made:
        for value, words in options.items():
            make("option", words, value=value, selected=True if value == chosen else None)
    return made.on("change", lambda e: action(str(e.args)), js_handler=VALUE)


def field(name: str, value: str, action: Callable[[str], Any], kind: str = "number") -> Element:
    """A labelled place to type; it tells its value when one leaves it or presses Enter."""
    with make("label", "", "field"):
        make("span", name)
        made = make("input", type=kind, defaultValue=value)
        if kind == "number":
            made.props["min"] = 0
            made.style("width: 6.5rem")
    return made.on("change", lambda e: action(str(e.args)), js_handler=VALUE)


class Notice:
    """A sentence about what went wrong, where a screen reader hears of it; empty: none."""

    def __init__(self) -> None:
        self.element = make("div", "", "notice", role="alert")
        self.say("")

    def say(self, text: str, info: bool = False) -> None:
        """Show a sentence, or with an empty one nothing."""
        self.element.set_text(text)
        self.element.classes(add="info") if info else self.element.classes(remove="info")
        self.element.set_visibility(bool(text))


class View:
    """A large picture that is drawn anew while one moves something, by the rule of ``Newest``.

    Held, it shows the one ``before`` instead; that needs no answer of the program.
    """

    def __init__(
        self, draw: Callable[[Any], Tensor], notice: Notice, alt: str, crisp: bool = False
    ) -> None:
        with make("div", "", "frame crisp" if crisp else "frame") as self.frame:
            self.image = picture(alt=alt)
            self.before = picture(alt="", classes="before")
            make("span", "before", "tag", aria_hidden="true")
        self.last: Tensor | None = None
        self._loaded = asyncio.Event()
        self.image.on("load", self._loaded.set, args=[])
        self.image.on("error", self._loaded.set, args=[])
        self.newest: Newest[Any, tuple[Tensor, str]] = Newest(
            lambda wish: _drawn(draw, wish), self._show, notice.say, self._shown
        )
        self.notice, self.changed = notice, Changes()
        self.image.client.on_delete(self.newest.close)

    def ask(self, wish: Any) -> None:
        """Ask for a picture."""
        self.newest.ask(wish)

    def keep_before(self) -> None:
        """What is shown now is what ``before`` means."""
        self.before.props["src"] = self.image.props["src"]

    def _show(self, made: tuple[Tensor, str]) -> None:
        self.last, url = made
        self.notice.say("")
        self._loaded.clear()
        self.image.props["src"] = url
        self.changed()

    async def _shown(self) -> None:
        if self.image.client.has_socket_connection:
            await _within(self._loaded.wait(), SECONDS)


def _drawn(draw: Callable[[Any], Tensor], wish: Any) -> tuple[Tensor, str]:
    image = draw(wish)
    return image, data_url(image)


async def _within(waiting: Awaitable[Any], seconds: float) -> None:
    try:
        await asyncio.wait_for(waiting, seconds)
    except TimeoutError:
        return


class Changes:
    """Calls everyone who asked, in order."""

    def __init__(self) -> None:
        self.callbacks: list[Handler] = []

    def __call__(self) -> None:
        """Call them."""
        for callback in self.callbacks:
            callback()


def hold_button(view: View, text: str = "Hold to see before") -> Element:
    """A button that shows the picture before while it is held, by pointer or by keyboard."""
    made = button(text)
    frame = json.dumps(f"#c{view.frame.id}")
    on = f"() => document.querySelector({frame}).classList.add('held')"
    off = f"() => document.querySelector({frame}).classList.remove('held')"
    for event in ("pointerdown", "keydown.space", "keydown.enter"):
        made.on(event, js_handler=on)
    for event in ("pointerup", "pointerleave", "pointercancel", "keyup", "blur"):
        made.on(event, js_handler=off)
    return made


def copy_block(name: str) -> TextElement:
    """Lines that can be copied."""
    with make("div", "", "code"):
        code = make("pre", "", tabindex="0", aria_label=name)
        copy = make("button", "Copy", "btn", type="button", aria_label=f"Copy {name}")
    place = json.dumps(f"#c{code.id}")
    # Where the page is no secure context there is no clipboard: the text is marked to be copied.
    copy.on(
        "click",
        js_handler=f"""() => {{
            const place = document.querySelector({place}), mark = getSelection();
            mark.selectAllChildren(place);
            if (navigator.clipboard) navigator.clipboard.writeText(place.innerText);
            else document.execCommand('copy');
        }}""",
    )
    return code


class Bar:
    """A bar that fills while something is computed."""

    def __init__(self, words: str) -> None:
        with make("div", "", "panel") as self.element:
            make("div", words, "soft")
            with make(
                "div", "", "progress", role="progressbar", aria_label=words, aria_valuemin=0,
                aria_valuemax=100, aria_valuenow=0,
            ) as self.outer:  # fmt: skip
                self.inner = make("i").style("width: 0%")

    def set(self, share: float) -> None:
        """Fill it to a share."""
        percent = round(100 * share)
        self.inner.style(f"width: {percent}%")
        self.outer.props["aria-valuenow"] = percent


async def with_progress(bar: Bar, work: Callable[[Callable[[float], None]], Any]) -> Any:
    """Run work in a thread while the bar shows the share that it tells; returns what it made."""
    share = [0.0]

    def told(value: float) -> None:
        share[0] = value

    running = asyncio.ensure_future(asyncio.to_thread(work, told))
    while not running.done():
        await asyncio.wait([running], timeout=0.15)
        if not bar.element.is_deleted:
            bar.set(share[0])
    return running.result()


def strip_of(items: Sequence[Any], make_one: Callable[[Any], Any]) -> Element:
    """A row that scrolls sideways."""
    with make("div", "", "strip") as row:
        for item in items:
            make_one(item)
    return row


def download(data: bytes, name: str) -> None:
    """Let the browser save a file."""
    ui.download.content(data, name)


def dropzone(
    words: str, kinds: str, notice: Notice, taken: Callable[[list[Any]], Any], several: bool = False
) -> Element:
    """A place for files, chosen or dropped; ``taken`` gets all of them at once, as uploads."""
    # What receives them is NiceGUI's own; what is seen is a plain input, which keyboards reach.
    receiver = ui.upload(multiple=several, on_multi_upload=lambda event: taken(event.files))
    receiver.style("display: none")
    url = json.dumps(receiver.props["url"])
    rest = f"{url}, {MOST_SENT}, {json.dumps(several)}, emit"
    with make("div", "", "drop") as zone:
        make("span", words)
        chosen = make(
            "input", type="file", accept=kinds, aria_label=words, multiple="" if several else None
        )
    chosen.on(
        "change", lambda e: notice.say(str(e.args)),
        js_handler=f"""async (event) => {{
            await lab.send([...event.target.files], {rest}); event.target.value = ''; }}""",
    )  # fmt: skip
    zone.on(
        "drop.prevent", lambda e: notice.say(str(e.args)),
        js_handler=f"""async (event) => {{
            lab.send(await lab.entries(event.dataTransfer.items), {rest}); }}""",
    )  # fmt: skip
    return zone


class Wipe:
    """Two pictures one over the other, and a slider that wipes from one to the other."""

    def __init__(self, name: str) -> None:
        with make("div", "", "wipe") as self.element:
            self.before = picture(alt="before")
            self.after = picture(alt="after", classes="after")
        slider = make(
            "input", type="range", min=0, max=100, step=0.5, defaultValue=50, aria_label=name
        )
        place = json.dumps(f"#c{self.element.id}")
        slider.on(
            "input",
            js_handler=f"(event) => document.querySelector({place}).style.setProperty('--at', "
            "event.target.value + '%')",
        )
        self.slider = slider
        self.show("", "")

    def show(self, before: str, after: str) -> None:
        """Show another pair; nothing where they are empty."""
        for element, url in ((self.before, before), (self.after, after)):
            element.props["src"] = url
        self.element.set_visibility(bool(before))
        self.slider.set_visibility(bool(before))
