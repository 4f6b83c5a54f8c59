"""The lab in a real browser: milliseconds from a moved slider to the picture that it asked for.

``python -m benchmarks case=lab run=outputs/latest``; needs chromium and chromedriver. ``--steps``
moves are timed in each of ``--rounds`` turns. Then a hand moves faster than pictures are drawn: how
many pictures come after its last move (1, or 2 if one was on its way), and is the last one right?
"""

import argparse
import math
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.children import run_worker
from benchmarks.results import Spread, circumstances, today
from benchmarks.settings import Settings

WAIT = 300  # seconds until directions are found
MOVES = """
const [count, done] = arguments, times = [];
const slider = document.querySelector('.slide input'), image = document.querySelector('.frame img');
const next = () => {
  if (times.length === count) return done(times);
  const start = performance.now();
  image.addEventListener('load', async () => {
    await image.decode();
    times.push(performance.now() - start);
    setTimeout(next, 100);
  }, {once: true});
  slider.value = 3 * Math.sin(times.length + 1);
  slider.dispatchEvent(new Event('input', {bubbles: true}));
};
next();
"""
RUSH = """
const [count, done] = arguments;
const slider = document.querySelector('.slide input'), image = document.querySelector('.frame img');
let moves = 0, seen = 0, after = 0;
image.addEventListener('load', () => { seen += 1; if (moves >= count) after += 1; });
const move = setInterval(() => {
  moves += 1;
  slider.value = moves === count ? 1.5 : 3 * Math.sin(moves);
  slider.dispatchEvent(new Event('input', {bubbles: true}));
  if (moves < count) return;
  clearInterval(move);
  setTimeout(() => done([seen, after, image.src]), 3000);
}, 5);
"""
LAST = """
const done = arguments[0], image = document.querySelector('.frame img');
const slider = document.querySelector('.slide input');
slider.value = 0;
slider.dispatchEvent(new Event('input', {bubbles: true}));
setTimeout(() => {
  slider.value = 1.5;
  slider.dispatchEvent(new Event('input', {bubbles: true}));
  setTimeout(() => done(image.src), 1500);
}, 1500);
"""


@contextmanager
def served(words: list[str]) -> Iterator[str]:
    """The address of a lab, while it runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ganforge", "lab", f"port={port}", "device=cpu", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + WAIT
    try:
        while time.monotonic() < end:
            try:
                urllib.request.urlopen(f"{address}/_nicegui/nothing", timeout=5)
            except urllib.error.HTTPError:
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit("the lab did not start") from None
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait()


@contextmanager
def browser() -> Iterator[Any]:
    """A chromium without a screen."""
    from selenium import webdriver

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        raise SystemExit("case=lab needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    found.set_script_timeout(WAIT)
    try:
        yield found
    finally:
        found.quit()


def run(case: str, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Move the first slider of the page Edit, slowly and in a rush."""
    words = [word for word in options.overrides if word.startswith("run=")]
    if not words:
        raise SystemExit("name a trained generator: case=lab run=outputs/...")
    with console.status(case), served(words) as address, browser() as page:
        machine = run_worker("describe", Settings(os.curdir))
        page.get(f"{address}/edit?seed=7")
        end = time.monotonic() + WAIT
        while not page.find_elements("css selector", ".slide input") and time.monotonic() < end:
            time.sleep(0.5)
        time.sleep(2)
        turns = [
            page.execute_async_script(MOVES, options.steps) for _ in range(options.rounds + 1)
        ][1:]
        seen, after, rushed = page.execute_async_script(RUSH, 400)
        right = page.execute_async_script(LAST) == rushed
    ninetieth = [sorted(turn)[math.ceil(0.9 * len(turn)) - 1] for turn in turns]
    table = Table(title="milliseconds from slider to picture", title_justify="left")
    table.add_column("of a turn")
    table.add_column("milliseconds", justify="right")
    table.add_row("median", Spread.of([median(turn) for turn in turns]).text(".1f"))
    table.add_row("90 of 100", Spread.of(ninetieth).text(".1f"))
    console.print(table)
    told = "the last one is that of the last move" if right else "THE LAST ONE IS ANOTHER"
    console.print(f"400 moves in 2 seconds: {seen} pictures, {after} after the last move; {told}")
    console.print(circumstances(machine), highlight=False)
    rush = {"pictures": seen, "after_the_last_move": after, "last_is_right": right}
    return {"machine": machine, "milliseconds": turns, "rush": rush, "date": today()}
