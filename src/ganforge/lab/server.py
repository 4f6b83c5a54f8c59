"""The lab as a server: its pages, who may see them, and where they are."""

import asyncio
import socket
from functools import partial
from pathlib import Path

from fastapi import Request
from fastapi.responses import RedirectResponse
from nicegui import app, ui
from omegaconf import DictConfig

from ganforge.config.build import build
from ganforge.lab.arithmetic import arithmetic
from ganforge.lab.edit import edit
from ganforge.lab.frame import Build, Lab, open_page, pages_of
from ganforge.lab.guard import KEY, Guard, is_own, new_token
from ganforge.lab.project import project
from ganforge.lab.retouch import retouch
from ganforge.lab.runs import runs
from ganforge.lab.samples import samples
from ganforge.lab.shelf import Shelf
from ganforge.lab.translate import translate
from ganforge.lab.walk import walk
from ganforge.trained.bundle import is_bundle
from ganforge.trained.named import place_of
from ganforge.utils.errors import GanforgeError, UserError
from ganforge.utils.runs import find_run
from ganforge.utils.terminal import relative_path, terminal

SECONDS = 120  # that a page may take until its first part is there: a model is loaded
KEPT_MESSAGES = 50  # for a browser that was away: each may hold a picture
PAGES: dict[str, Build] = {
    "samples": samples,
    "edit": edit,
    "arithmetic": arithmetic,
    "walk": walk,
    "project": project,
    "translate": translate,
    "retouch": retouch,
    "runs": runs,
}


def check(config: DictConfig) -> None:
    """Refuse what cannot be served, before anything is loaded."""
    port = config.port
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise UserError(f"port={port} is no number from 1 to 65535")
    try:
        family, *_, place = socket.getaddrinfo(str(config.address), port, type=socket.SOCK_STREAM)[
            0
        ]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        raise UserError(
            f"nothing can be served at address={config.address} port={config.port} "
            f"({error.strerror}): "
            "choose another port, or an address that this machine has"
        ) from error


def lab_of(config: DictConfig) -> Lab:
    """The lab that a configuration asks for; a UserError for a run that is none."""
    named = None
    if config.run is not None:
        named = place_of(str(config.run))
        named = named.resolve() if is_bundle(named) else find_run(named).folder
    outputs = Path(str(config.outputs)).expanduser()
    shelf = Shelf(outputs, named, config.checkpoint, config.device, config.trusted)
    return Lab(shelf, partial(build, config.finder), config.data_path)


def serve(config: DictConfig) -> None:
    """Serve until interrupted, and print where."""
    lab = lab_of(config)
    if lab.shelf.named is not None:  # what is wrong with it is told here, and it is warm
        lab.shelf.model(lab.shelf.default())
    token = None if is_own(str(config.address)) else new_token()
    register(lab)
    app.add_middleware(Guard, token=token)
    app.on_startup(partial(_tell, config, token))
    ui.run(
        host=str(config.address), port=config.port, title="ganforge lab", favicon="🧪", dark=True,
        reload=False, show=False, show_welcome_message=False, tailwind=False,
        message_history_length=KEPT_MESSAGES, timeout_graceful_shutdown=1,
    )  # fmt: skip


def register(lab: Lab) -> None:
    """Make the pages of a lab known to NiceGUI."""
    ui.add_css(Path(__file__).with_name("style.css"), shared=True)
    script = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
    ui.add_head_html(f"<script>{script}</script>", shared=True)

    @ui.page("/", response_timeout=SECONDS)
    async def start(request: Request) -> RedirectResponse:
        name = request.query_params.get("run", "")
        try:
            model = await asyncio.to_thread(lambda: lab.shelf.model(name or lab.shelf.default()))
        except GanforgeError:
            model = None
        page = next(iter(pages_of(model)), "samples")
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/{page}{query}")

    for name, build_page in PAGES.items():
        _register(lab, name, build_page)


def _register(lab: Lab, name: str, build_page: Build) -> None:
    @ui.page(f"/{name}", response_timeout=SECONDS)
    async def page(request: Request) -> None:
        await open_page(lab, name, request, build_page)


def _tell(config: DictConfig, token: str | None) -> None:
    host = str(config.address)
    if token is not None and host in ("0.0.0.0", "::"):
        host = socket.gethostname()
    host = f"[{host}]" if ":" in host else host
    secret = f"/?{KEY}={token}" if token else ""
    console = terminal()
    console.print(f"The lab is open at http://{host}:{config.port}{secret}", soft_wrap=True)
    if token:
        console.print("Whoever has this link can use it. Ctrl-C closes the lab.", soft_wrap=True)
    else:
        console.print(
            f"Runs of {relative_path(Path(config.outputs))}. Ctrl-C closes it.", soft_wrap=True
        )
