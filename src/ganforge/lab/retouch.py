"""Retouch: closed eyes opened after another photo of the person, or a mouth that says a sound."""

import asyncio
import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any

from nicegui.events import GenericEventArguments
from PIL import Image

from ganforge.data.faces import Face, FaceFinder
from ganforge.data.film import read_sound
from ganforge.data.sound import resampled
from ganforge.data.speech import speak
from ganforge.lab.frame import Desk, RecipeBox, head, told
from ganforge.lab.parts import Wipe, button, download, dropzone, field, make, picture
from ganforge.lab.pictures import opened, url_of
from ganforge.lab.recipes import Recipe, line
from ganforge.retouch.talk import Talker
from ganforge.retouch.work import Retoucher, written_name
from ganforge.utils.errors import UserError

SHOWN = 1024  # pixels of a photo on the page
CONSENT = (
    "Only for pictures of people who agreed to it. What is made is marked as synthetic in the file "
    "itself; do not remove the mark, and do not pass it off as a photo."
)
CLICKED = (
    "(event) => { const box = event.target.getBoundingClientRect(); emit((event.clientX - box.left)"
    " / box.width + ' ' + (event.clientY - box.top) / box.height); }"
)


@dataclass
class Shot:
    """One of the photos: its file, and the eyes that were clicked in it, as shares of its sides."""

    name: str
    data: bytes = b""
    file: str = ""
    clicks: list[tuple[float, float]] | None = None
    image: Any = None


@dataclass(frozen=True)
class Clicked:
    """Eyes where somebody clicked on them; where nobody did, a finder looks for them."""

    eyes: dict[str, list[tuple[float, float]]]
    finder: Callable[[], FaceFinder]

    def __call__(self, name: str, image: Image.Image) -> list[Face]:
        """The face of a photo."""
        eyes = self.eyes.get(PurePath(name).name, [])
        if len(eyes) != 2:
            return self.finder()(name, image)
        return [Face(*sorted((x * image.width, y * image.height) for x, y in eyes))]

    def near(self, image: Image.Image, face: Face) -> Face | None:
        """The same face in the next frame."""
        return face if any(self.eyes.values()) else self.finder().near(image, face)

    def key(self) -> dict[str, Any]:
        """Facts for caches, of which there are none here."""
        return {"clicked": self.eyes}


class Retouching:
    """What one browser retouches."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.module = desk, desk.model.module
        self.hears = self.module.generator.hears
        self.photo, self.exemplar = Shot("photo"), Shot("exemplar")
        self.sound, self.words = b"", "hello, how are you"
        self.made: tuple[bytes, str] | None = None

    def finder(self) -> FaceFinder:
        """Clicked eyes first."""
        shots = (self.photo, self.exemplar)
        return Clicked({shot.file: shot.clicks or [] for shot in shots}, self.desk.lab.finder)

    def eyes(self) -> bytes:
        """The photo with its eyes opened, as a marked file."""
        if not self.photo.data or not self.exemplar.data:
            raise UserError("Give both photos: the one to mend, and one with open eyes.")
        with tempfile.TemporaryDirectory() as folder:
            source, exemplar = (_write(shot, folder) for shot in (self.photo, self.exemplar))
            output = Path(folder) / "made" / written_name(source.name)
            worker = Retoucher(self.module, self.finder())
            worker.photos(source, exemplar, output.parent)
            return output.read_bytes()

    def mouth(self) -> bytes:
        """The film of a photo that says something."""
        if not self.photo.data:
            raise UserError("Give a photo of somebody with a shut mouth.")
        with tempfile.TemporaryDirectory() as folder:
            source = _write(self.photo, folder)
            if self.sound:
                (heard := Path(folder) / "sound").write_bytes(self.sound)
                samples = read_sound(heard)
            else:
                said = speak(self.words, "en-us")
                samples = resampled(said.samples, said.rate)
            talker = Talker(self.module, self.finder())
            return talker.speak(source, samples, None, Path(folder) / "made").read_bytes()

    def recipe(self) -> Recipe:
        """The line that does the same; clicked eyes go into a table, ``landmarks=``."""
        photo = self.photo.file or "PHOTO"
        own = (
            {"say": self.words} if self.hears else {"exemplar": self.exemplar.file or "OTHER_PHOTO"}
        )
        shell = line("retouch", self.desk.model.folder, input=photo, **own, output="mended")
        return Recipe(shell)


def _write(shot: Shot, folder: str) -> Path:
    path = Path(folder) / shot.file
    path.write_bytes(shot.data)
    return path


async def retouch(desk: Desk) -> None:
    """The page."""
    work = Retouching(desk)
    if work.hears:
        title, lead = "Speak", "Give a photo of a face with a shut mouth, and words or a sound."
    else:
        title = "Open eyes"
        lead = "Give the photo to mend, and one of the same person with open eyes."
    head(title, f"{lead} They stay on this machine. {desk.name}, step {desk.model.step:,}.")
    make("p", CONSENT, "notice info", role="note")
    with make("div", "", "grid2"):
        _shot(desk, work.photo, "Photo" if work.hears else "Photo to mend")
        if work.hears:
            _speech(desk, work)
        else:
            _shot(desk, work.exemplar, "Same person, eyes open")
    with make("div", "", "tools"):
        start = button("Speak" if work.hears else "Open the eyes", lambda: do(), main=True)
    with make("div", "", "panel middle") as result:
        wipe = Wipe("Wipe between before and after")
        film = make("video", "", "film", controls="", loop="", aria_label="The film that was made")
        with make("div", "", "tools"):
            button("Download", lambda: _save(work))
    result.set_visibility(False)
    recipes = RecipeBox()
    recipes.show(work.recipe())

    async def do() -> None:
        start.props["disabled"] = True
        desk.notice.say("This takes a moment ...", info=True)
        try:
            made = await asyncio.to_thread(work.mouth if work.hears else work.eyes)
        except Exception as error:  # noqa: BLE001 - told on the page
            desk.notice.say(told(error) + _hint(error))
            return
        finally:
            start.props["disabled"] = None
        desk.notice.say("")
        stem = PurePath(work.photo.file)
        work.made = made, f"{stem.stem}.mp4" if work.hears else written_name(stem.name)
        film.set_visibility(work.hears)
        if work.hears:
            film.props["src"] = url_of(made, "video/mp4")
        else:
            wipe.show(_small(work.photo.data, stem.name), _small(made, stem.name))
        result.set_visibility(True)
        recipes.show(work.recipe())


def _hint(error: Exception) -> str:
    """What else can be done on this page."""
    if isinstance(error, UserError) and "face" in str(error):
        return " Or click on both eyes in the photo above."
    return ""


def _small(data: bytes, name: str) -> str:
    """A photo as the page shows it."""
    image = opened(data, name)
    image.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    image.save(buffer := io.BytesIO(), "JPEG", quality=90)
    return url_of(buffer.getvalue(), "image/jpeg")


def _shot(desk: Desk, shot: Shot, words: str) -> None:
    """A place for a photo, in which eyes can be clicked."""

    async def taken(files: list[Any]) -> None:
        data, name = await files[0].read(), files[0].name
        try:
            url = await asyncio.to_thread(_small, data, name)
        except Exception as error:  # noqa: BLE001 - told on the page
            desk.notice.say(told(error))
            return
        desk.notice.say("")
        suffix = PurePath(name).suffix
        shot.data, shot.file, shot.clicks = data, f"{shot.name}{suffix}", None
        shot.image.props["src"] = url
        shot.image.set_visibility(True)
        found.set_text("Eyes are looked for. If they are not found, click on both of them.")

    def clicked(event: GenericEventArguments) -> None:
        x, y = map(float, str(event.args).split())
        before = shot.clicks or []
        shot.clicks = [*before, (x, y)] if len(before) < 2 else [(x, y)]
        both = len(shot.clicks) == 2
        found.set_text("Both eyes are marked." if both else "Click on the other eye.")

    with make("div", "", "panel"):
        make("h2", words)
        dropzone(f"Choose: {words}", "image/*", desk.notice, taken)
        shot.image = picture(alt=f"{words}; click on both eyes to mark them", classes="film")
        shot.image.on("click", clicked, js_handler=CLICKED)
        shot.image.set_visibility(False)
        found = make("p", "", "soft", role="status")


def _speech(desk: Desk, work: Retouching) -> None:
    """Words, or a file of sound."""

    async def taken(files: list[Any]) -> None:
        work.sound = await files[0].read()
        heard.set_text(f"It will say what {files[0].name} says.")

    def said(text: str) -> None:
        work.words, work.sound = text[:200], b""
        heard.set_text("")

    with make("div", "", "panel"):
        make("h2", "What is said")
        if find_spec("espeakng_loader") is not None:
            field("words", work.words, said, "text")
        dropzone("Or choose a sound or a film", "audio/*,video/*", desk.notice, taken)
        heard = make("p", "", "soft", role="status")


def _save(work: Retouching) -> None:
    if work.made is not None:
        download(*work.made)
