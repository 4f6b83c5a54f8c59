"""A region model on photos: how near to the truth at each size, and how long a large photo takes.

``python -m benchmarks case=retouch run=outputs/eyes_avatars``. The people are drawn, as many as
``--steps`` says, and were not trained on: the truth is known at every size.
"""

import argparse
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.children import run_worker
from benchmarks.results import Spread, circumstances, today
from benchmarks.settings import Settings
from ganforge.data.avatars import person
from ganforge.data.faces import Face
from ganforge.data.people import Person, Pose, random_pose
from ganforge.models.region import Change, RegionTranslator
from ganforge.retouch import marks
from ganforge.retouch.choose import open_photo
from ganforge.retouch.mtcnn import MTCNN
from ganforge.retouch.photo import Patch, Pictured, generate
from ganforge.trained.load import load_run
from ganforge.utils.errors import UserError

SIZES = (256, 512, 1024)  # pixels a side of the drawn photos
LARGE = (4000, 3000)
WAYS = ("change on the full-size exemplar", "small result enlarged", "exemplar pasted")
WEIGHTS = Path("~/.cache/ganforge/weights").expanduser()


def pictured(who: Person, pose: Pose, size: int, opening: float | None) -> Pictured:
    """A drawn photo and where its eyes are."""
    return Pictured(who.draw(pose, size, opening), Face(*pose.eyes(size)))


def coarse(photo: Pictured, distance: float) -> Pictured:
    """The same photo with no more detail than a window has whose eyes are ``distance`` apart."""
    scale = min(1.0, distance / photo.face.eye_distance)
    small = tuple(max(1, round(side * scale)) for side in photo.image.size)
    image = photo.image.resize(small, Image.Resampling.BOX)
    return Pictured(image.resize(photo.image.size, Image.Resampling.BICUBIC), photo.face)


def psnr(patch: Patch, before: np.ndarray, truth: np.ndarray) -> float:
    """Inside the region, weighed by its mask, in dB."""
    left, top, right, bottom = patch.box
    made = patch.onto(before)[top:bottom, left:right].astype(float)
    error = ((made - truth[top:bottom, left:right]) / 255) ** 2
    weights = patch.weights[..., None]
    return -10 * np.log10((error * weights).sum() / (3 * weights.sum()) + 1e-8)


def quality(module: RegionTranslator, people: int, size: int) -> dict[str, float]:
    """Mean PSNR of each way at one size of photos."""
    (left, _), (right, _) = module.region.anchors
    distance = (right - left) * module.size
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(people):
        who, rng = Person(person("test", 1, number)), np.random.default_rng(number)
        here, there = random_pose(rng), random_pose(rng)
        closed, opened = (pictured(who, here, size, opening) for opening in (0.0, None))
        exemplar = pictured(who, there, size, None)
        before, truth = np.asarray(closed.image), np.asarray(opened.image)
        whole = generate(module, closed, exemplar)
        enlarged = generate(module, closed, coarse(exemplar, distance))
        pasted = generate(Pasting(module), closed, exemplar)
        for way, patch in zip(WAYS, (whole, enlarged, pasted), strict=True):
            found[way].append(psnr(patch, before, truth))
    return {way: float(np.mean(values)) for way, values in found.items()}


class Pasting(torch.nn.Module):
    """A model that takes the exemplar as it is."""

    def __init__(self, like: RegionTranslator) -> None:
        super().__init__()
        self.region, self.size, self.device = like.region, like.size, torch.device("cpu")

    def change(self, images: torch.Tensor, exemplar: torch.Tensor) -> Change:
        """Gain 1 and offset 0."""
        return Change(torch.ones_like(images[:, :1]), torch.zeros_like(exemplar))


def seconds_of_a_large_photo(module: RegionTranslator, folder: Path) -> dict[str, float]:
    """Seconds to read, search, retouch and write a photo of 12 megapixels, marked."""
    who, pose = Person("large"), random_pose(np.random.default_rng(0))
    paths = [folder / "closed.jpg", folder / "open.jpg"]
    for path, opening in zip(paths, (0.0, None), strict=True):
        canvas = Image.new("RGB", LARGE, (200, 210, 220))
        canvas.paste(who.draw(pose, 2048, opening), (900, 400))
        canvas.save(path, quality=95)
    face = Face(*((x + 900, y + 400) for x, y in pose.eyes(2048)))
    seconds, start = {}, perf_counter()

    def lap(name: str) -> None:
        nonlocal start
        seconds[name], start = perf_counter() - start, perf_counter()

    originals = [open_photo(path) for path in paths]
    lap("read both")
    finder = MTCNN(WEIGHTS)
    try:
        for path, image in zip(paths, originals, strict=True):
            finder(path.name, image)
        lap("search both for eyes")
    except UserError:
        start = perf_counter()  # no weights here
    patch = generate(module, *(Pictured(image, face) for image in originals))
    after = patch.onto(np.asarray(originals[0]))
    lap("generate and blend in")
    marks.write(Image.fromarray(after), folder / "out.jpg", originals[0], True)
    lap("write")
    return {**seconds, "together": sum(seconds.values())}


def run(case: str, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """PSNR at every size, then the seconds of a large photo in turns."""
    runs = [word.removeprefix("run=") for word in options.overrides if word.startswith("run=")]
    if not runs:
        raise SystemExit("name a trained model of regions: case=retouch run=outputs/...")
    module = load_run(runs[0], "last", "cpu").module
    sizes = SIZES[:1] if options.quick else SIZES
    with tempfile.TemporaryDirectory() as folder, console.status(case):
        machine = run_worker("describe", Settings(folder))
        found = {size: quality(module, options.steps, size) for size in sizes}
        turns = [seconds_of_a_large_photo(module, Path(folder)) for _ in range(options.rounds + 1)]
    table = Table(title=f"PSNR inside the region, {options.steps} people", title_justify="left")
    table.add_column("photo")
    for way in WAYS:
        table.add_column(way, justify="right")
    for size, values in found.items():
        table.add_row(f"{size}×{size}", *(f"{values[way]:.2f} dB" for way in WAYS))
    console.print(table)
    table = Table(title="seconds of a photo of 12 megapixels", title_justify="left")
    table.add_column("part")
    table.add_column("seconds", justify="right")
    for part in turns[0]:
        table.add_row(part, Spread.of([turn[part] for turn in turns[1:]]).text(".2f"))
    console.print(table)
    console.print(circumstances(machine), highlight=False)
    return {"machine": machine, "psnr": found, "seconds": turns[1:], "date": today()}
