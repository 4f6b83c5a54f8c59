"""One lab as its users start it, and one browser that looks at it, for all tests of pages."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ganforge.api.directions import digest
from ganforge.api.models import opened
from ganforge.config.build import build
from ganforge.trained.load import LoadedRun, load_run
from ganforge.utils.files import write_json
from ganforge.utils.runs import Run
from helpers import composed

BEFORE = Path(__file__).parents[1] / "trained" / "before_the_rooms"
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WAIT = 120  # seconds, of a machine that does other things


class Served:
    """A running lab: its folder of runs and its address."""

    def __init__(self, outputs: Path, address: str) -> None:
        self.outputs, self.address = outputs, address


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def started(folder: Path, *words: str) -> tuple[subprocess.Popen[str], int]:
    """The command, when it answers."""
    port = free_port()
    command = [sys.executable, "-P", "-m", "ganforge", "lab", f"port={port}", "device=cpu", *words]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment |= {"OMP_NUM_THREADS": "1", "GANFORGE_DATA": str(folder / "data")}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    for _ in range(WAIT * 10):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_nicegui/nothing", timeout=2)
        except urllib.error.HTTPError:
            return process, port
        except OSError:
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.1)
    process.kill()
    raise AssertionError(process.stdout.read())


def keep_directions(run: Path) -> None:
    """Directions of a tiny run as they are kept, without the work of finding them."""
    loaded = load_run(run, device="cpu")
    unit = torch.eye(8).tolist()
    methods = {
        "labels": {
            "directions": {
                "glasses: none → glasses": unit[0],
                "facial_hair: none → beard": unit[1],
            },
            "effects": {"glasses: none → glasses": {"glasses": 3.0, "skin": 1.5, "hair": 0.1}},
        },
        "sefa": {"directions": {"sefa 1": unit[2]}},
    }
    for label in range(6):
        path = run / "explore" / "known_directions" / f"z_class{label}.json"
        write_json({"weights": digest(loaded), "methods": methods}, path)


TRANSLATOR = [
    "experiment=cyclegan_avatars", "data.size=32", "model.a_to_b.width=4", "model.a_to_b.blocks=1",
    "model.critic_a.width=4", "model.critic_a.layers=1",
]  # fmt: skip
REGION = ["experiment=eyes_avatars", "model.generator.width=4", "model.discriminator.width=4"]


def untrained(overrides: list[str], folder: Path, name: str) -> Path:
    """A bundle of a model of random weights."""
    config = composed("train", overrides, folder / f"{name}_run", folder / "data")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = build(config.model).eval()
    loaded = LoadedRun(Run(folder / f"{name}_run"), config, module, 0, False, None, "last")
    opened(loaded).export(folder / name, picture=False)
    return folder / name


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(BEFORE / "run", folder / "outputs" / "faces")
    keep_directions(folder / "outputs" / "faces")
    untrained(TRANSLATOR, folder / "outputs", "glasses")
    untrained(REGION, folder / "outputs", "eyes")
    process, port = started(folder)
    try:
        yield Served(folder / "outputs", f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.communicate(timeout=WAIT)


class Eyes:
    """A browser, and what a test does with it."""

    def __init__(self, driver: object, address: str) -> None:
        self.driver, self.address = driver, address

    def go(self, place: str) -> None:
        self.driver.get(f"{self.address}{place}")

    def all(self, selector: str) -> list[object]:
        return self.driver.find_elements("css selector", selector)

    def find(self, selector: str) -> object:
        return self.until(lambda: next(iter(self.all(selector)), None), selector)

    def until(self, condition: object, what: str = "it") -> object:
        """What a condition gives as soon as it is true."""
        from selenium.common.exceptions import StaleElementReferenceException

        end = time.monotonic() + WAIT
        while time.monotonic() < end:
            try:
                if found := condition():
                    return found
            except StaleElementReferenceException:
                pass
            time.sleep(0.03)
        raise AssertionError(f"{what} was not seen; the page says: {self.text()[:2000]}")

    def text(self) -> str:
        return self.driver.find_element("tag name", "body").text

    def says(self, words: str) -> None:
        self.until(lambda: words in self.text(), words)

    def js(self, script: str, *values: object) -> object:
        return self.driver.execute_script(script, *values)

    def slide(self, selector: str, value: float) -> None:
        """Put a slider to a value as a hand does."""
        self.js(
            "arguments[0].value = arguments[1];"
            "arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
            self.find(selector), value,
        )  # fmt: skip

    def width(self, pixels: int, height: int = 800) -> None:
        size = {"width": pixels, "height": height, "deviceScaleFactor": 1, "mobile": pixels < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def complaints(self) -> list[str]:
        """Errors of the console, requests to elsewhere among them."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] == "SEVERE"]


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    webdriver = pytest.importorskip("selenium.webdriver")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("there is no chromium here")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-dev-shm-usage", "--window-size=1200,900",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no page may need a network
    ):  # fmt: skip
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture
def eyes(lab: Served, chromium: object) -> Iterator[Eyes]:
    eyes = Eyes(chromium, lab.address)
    eyes.width(1200, 900)
    eyes.complaints()
    yield eyes
    assert eyes.complaints() == []
