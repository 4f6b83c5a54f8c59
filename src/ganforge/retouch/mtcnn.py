"""Eyes found by MTCNN, with weights that a package on PyPI holds."""

import io
import math
import zipfile
from collections.abc import Callable
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.ops import batched_nms, nms

from ganforge.data.faces import Face
from ganforge.networks.mtcnn import OutputNet, ProposalNet, RefinementNet, normalised
from ganforge.utils.errors import DamagedFileError, UserError

PACKAGE, VERSION = "facenet_pytorch", "2.6.0"
LONGEST = 960  # side that pictures are searched at: larger ones are shrunk
SMALLEST = 20  # pixels of the smallest face there
THRESHOLDS = (0.6, 0.7, 0.7)  # of the three networks
AROUND = 2.5  # distances between the eyes that a face of a film is looked for around its last place
STEP = 0.709  # from one level of the pyramid to the next


class MTCNN:
    """The cascade of Zhang et al. 2016 with the weights of the package ``facenet-pytorch``.

    ``folder`` is where the package's wheel lies; the package itself is not imported, because it
    asks for versions of torch and numpy that are long gone.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder).expanduser()

    def key(self) -> dict[str, Any]:
        """What finds them."""
        return {"mtcnn": VERSION, "longest": LONGEST, "smallest": SMALLEST}

    def __call__(self, name: str, image: Image.Image) -> list[Face]:  # noqa: ARG002
        """Search the picture at 960 pixels at most."""
        shrink = max(1.0, max(image.size) / LONGEST)
        size = tuple(max(1, round(side / shrink)) for side in image.size)
        small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float()
        scale = torch.tensor([image.width / size[0], image.height / size[1]])
        found = []
        for points in self._search(pixels):
            left, right = (tuple((point * scale).tolist()) for point in points[:, :2].T)
            if left[0] < right[0]:
                found.append(Face(left, right))
        return sorted(found, key=lambda face: -face.eye_distance)

    def near(self, image: Image.Image, face: Face) -> Face | None:
        """Search around the last place alone, which takes a fraction of the time."""
        x, y = (sum(side) / 2 for side in zip(face.left, face.right, strict=True))
        reach = AROUND * face.eye_distance
        box = (round(x - reach), round(y - reach), round(x + reach), round(y + reach))
        found = self("", image.crop(box))
        if not found:
            return None
        places = [Face(*((x + box[0], y + box[1]) for x, y in (f.left, f.right))) for f in found]
        return min(places, key=lambda place: math.dist(place.left, face.left))

    @torch.inference_mode()
    def _search(self, pixels: Tensor) -> Tensor:
        """Points ``N×2×5`` of the faces in ``1×3×H×W``, levels 0 to 255."""
        propose, refine, output = self._networks
        boxes = _proposals(pixels, propose)
        if len(boxes):
            chance, offsets = refine(_crops(pixels, boxes, 24))
            boxes = _kept(boxes, chance, offsets, THRESHOLDS[1])
        if not len(boxes):
            return torch.zeros(0, 2, 5)
        chance, offsets, points = output(_crops(pixels, boxes, 48))
        good = chance > THRESHOLDS[2]
        boxes, chance, offsets, points = boxes[good], chance[good], offsets[good], points[good]
        sides = (boxes[:, 2:] - boxes[:, :2])[:, :, None]
        points = boxes[:, :2, None] + points * sides
        return points[nms(_shifted(boxes, offsets), chance, 0.5)]

    @cached_property
    def _networks(self) -> tuple[nn.Module, ...]:
        read = _package_reader(self._folder)
        made = []
        for name, kind in (("pnet", ProposalNet), ("rnet", RefinementNet), ("onet", OutputNet)):
            network = kind()
            network.load_state_dict(read(f"data/{name}.pt"))
            made.append(network.eval().requires_grad_(False))
        return tuple(made)

    def __getstate__(self) -> dict[str, Any]:
        """A folder: another process reads the weights itself."""
        return {"_folder": self._folder}


def _proposals(pixels: Tensor, propose: nn.Module) -> Tensor:
    """Candidates ``N×4``: x and y of two corners."""
    height, width = pixels.shape[-2:]
    scale, boxes, chances, levels = 12 / SMALLEST, [], [], []
    while min(height, width) * scale >= 12:
        size = math.ceil(height * scale), math.ceil(width * scale)
        chance, offsets = propose(normalised(F.interpolate(pixels, size, mode="area")))
        rows, columns = torch.nonzero(chance[0] > THRESHOLDS[0], as_tuple=True)
        corner = 2 * torch.stack([columns, rows], dim=1)
        cells = torch.cat([corner, corner + 12], dim=1) / scale
        score, kept = chance[0, rows, columns], offsets[0, :, rows, columns].T
        best = nms(cells, score, 0.5)
        boxes.append(_shifted(cells[best], kept[best]))
        chances.append(score[best])
        levels.append(cells[best])
        scale *= STEP
    if not boxes:
        return torch.zeros(0, 4)
    best = nms(torch.cat(levels), torch.cat(chances), 0.7)
    return _square(torch.cat(boxes)[best])


def _kept(boxes: Tensor, chance: Tensor, offsets: Tensor, threshold: float) -> Tensor:
    """Candidates that a network believes in, moved as it says, without those that overlap."""
    good = chance > threshold
    boxes, chance, offsets = boxes[good], chance[good], offsets[good]
    best = batched_nms(boxes, chance, torch.zeros(len(boxes)), 0.7)
    return _square(_shifted(boxes[best], offsets[best]))


def _shifted(boxes: Tensor, offsets: Tensor) -> Tensor:
    """Corners moved by shares of the box."""
    return boxes + offsets * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)


def _square(boxes: Tensor) -> Tensor:
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).amax(1, keepdim=True) / 2
    return torch.cat([middle - half, middle + half], dim=1)


def _crops(pixels: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Candidates cut out ``side`` pixels wide, black beyond the picture, normalised."""
    height, width = pixels.shape[-2:]
    parts = []
    for left, top, right, bottom in boxes.round().int().tolist():
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        inside = pixels[..., max(top, 0) : bottom, max(left, 0) : right]
        margins = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
        cropped = F.pad(inside, margins) if inside.numel() else pixels.new_zeros(1, 3, 1, 1)
        parts.append(F.interpolate(cropped, (side, side), mode="area"))
    return normalised(torch.cat(parts))


def _package_reader(folder: Path) -> Callable[[str], dict[str, Tensor]]:
    """What reads a file of weights out of the wheel in ``folder``, or of the installed package."""
    wheels = sorted(folder.glob(f"{PACKAGE}-*.whl"))
    spec = find_spec(PACKAGE)

    def read(name: str) -> dict[str, Tensor]:
        try:
            if wheels:
                with zipfile.ZipFile(wheels[-1]) as wheel:
                    data = wheel.read(f"{PACKAGE}/{name}")
            else:
                data = Path(spec.submodule_search_locations[0], name).read_bytes()
            return torch.load(io.BytesIO(data), weights_only=True)
        except (OSError, KeyError, zipfile.BadZipFile, RuntimeError) as error:
            where = wheels[-1] if wheels else spec.submodule_search_locations[0]
            raise DamagedFileError(f"{where} does not hold {name} as it should: {error}") from error

    if not wheels and spec is None:
        raise UserError(
            "eyes are found with weights that the package facenet-pytorch holds (MIT licence, "
            f"2 MB); it is read, not installed: python -m pip download --no-deps --dest {folder} "
            f"facenet-pytorch=={VERSION} (or name the eyes in a table: landmarks=FILE.csv)"
        )
    return read
