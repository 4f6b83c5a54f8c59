"""A region of a photo of any size generated after another photo of the same person.

The generator sees small windows. The change it asks for is smooth, so it is enlarged and applied to
the exemplar at the photo's own resolution: what it makes is as sharp as the exemplar.
"""

import math
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ganforge.data.faces import Face
from ganforge.data.windows import cut, resample
from ganforge.utils.errors import UserError
from ganforge.utils.images import to_float
from ganforge.utils.modes import evaluating
from ganforge.utils.regions import Placement, Region

LEAST_EYE_DISTANCE = 20  # pixels
Box = tuple[int, int, int, int]  # left, top, right, bottom


class Change(Protocol):
    """Gain ``N×1×H×W`` and offset ``N×C×H×W`` of exemplars, as a model of regions gives them."""

    gain: Tensor
    offset: Tensor


class Model(Protocol):
    """A model of regions."""

    region: Region
    size: int
    device: torch.device

    def change(self, images: Tensor, exemplar: Tensor, sound: Tensor | None = None) -> Change:
        """What exemplars have to become, of float windows and, where it hears, sounds."""
        ...


class Pictured(NamedTuple):
    """A face in an RGB picture."""

    image: Image.Image
    face: Face


class Patch(NamedTuple):
    """What to put into a picture at ``box``: levels ``H×W×3``, shown by ``weights`` ``H×W``.

    Levels are floats that may lie beyond 0 to 255: what is blended is what a model was trained to
    blend.
    """

    box: Box
    pixels: np.ndarray
    weights: np.ndarray

    def onto(self, image: np.ndarray) -> np.ndarray:
        """A copy of uint8 ``H×W×3`` with the patch blended in."""
        left, top, right, bottom = self.box
        out = image.copy()
        under = image[top:bottom, left:right]
        share = self.weights[..., None]
        mixed = np.rint(under * (1 - share) + self.pixels * share).clip(0, 255).astype(np.uint8)
        out[top:bottom, left:right] = np.where(share > 0, mixed, under)
        return out


def generate(
    model: Model, photo: Pictured, exemplar: Pictured, sound: Tensor | None = None
) -> Patch:
    """The region of ``photo``'s face after that of ``exemplar``, at the photo's resolution.

    ``sound``, uint8 ``1×1×32×32``, is what is heard, for a model that hears.
    """
    region, shape = model.region, model.region.shape(model.size)
    here, there = (Placement.of(region, p.face.left, p.face.right) for p in (photo, exemplar))
    box = region_box(region, here)
    _check_place(photo, box)
    windows = [
        to_float(torch.from_numpy(cut(p.image, placement, shape).copy())[None].to(model.device))
        for p, placement in ((photo, here), (exemplar, there))
    ]
    with evaluating(model), torch.no_grad():
        heard = [] if sound is None else [to_float(sound.to(model.device))]
        change = model.change(*windows, *heard)
    x, y = _places(box, here)
    weights = region.weights(x, y)
    aligned = to_float(torch.from_numpy(_aligned(exemplar.image, there, here, box)))
    gain, offset = (_enlarged(part.cpu(), x, y, shape) for part in (change.gain, change.offset))
    levels = (gain * aligned + offset + 1) * 127.5
    return Patch(box, levels.permute(1, 2, 0).numpy(), weights.numpy())


def region_box(region: Region, placement: Placement) -> Box:
    """The pixels of a picture among which all weights above 0 lie."""
    corners = [
        placement.at(cx + side * rx, cy + level * ry)
        for cx, cy, rx, ry in region.ellipses
        for side in (-1, 1)
        for level in (-1, 1)
    ]
    x, y = zip(*corners, strict=True)
    return math.floor(min(x)), math.floor(min(y)), math.ceil(max(x)), math.ceil(max(y))


def outside_is_kept(before: np.ndarray, after: np.ndarray, patches: list[Patch]) -> bool:
    """Whether pixels uint8 ``H×W×C`` that no patch shows on are the same, bit for bit."""
    may_change = np.zeros(before.shape[:2], bool)
    for patch in patches:
        left, top, right, bottom = patch.box
        may_change[top:bottom, left:right] |= patch.weights > 0
    return bool((before == after)[~may_change].all())


def _check_place(photo: Pictured, box: Box) -> None:
    """Raise a UserError for eyes too near to each other or to the border."""
    check_distance(photo.face)
    left, top, right, bottom = box
    if left < 0 or top < 0 or right > photo.image.width or bottom > photo.image.height:
        raise UserError(
            f"the region around the eyes reaches beyond the picture, to {list(box)} of "
            f"{photo.image.width}×{photo.image.height} pixels: take a photo that shows it whole"
        )


def check_distance(face: Face) -> None:
    """Raise a UserError for a face that is too small."""
    if face.eye_distance < LEAST_EYE_DISTANCE:
        raise UserError(
            f"its eyes are {face.eye_distance:.0f} pixels apart, and {LEAST_EYE_DISTANCE} are "
            "needed: take a larger picture of the face"
        )


def _places(box: Box, placement: Placement) -> tuple[Tensor, Tensor]:
    """Where the centres of a box's pixels lie in the window, ``H×W`` each."""
    left, top, right, bottom = box
    x = torch.arange(left, right, dtype=torch.float64) + 0.5
    y = torch.arange(top, bottom, dtype=torch.float64) + 0.5
    u, v = placement.of_picture(x[None, :], y[:, None])
    return u.float(), v.float()


def _aligned(image: Image.Image, there: Placement, here: Placement, box: Box) -> np.ndarray:
    """The exemplar laid onto the box of the photo, uint8 ``3×H×W``."""
    turn = complex(*there.u) / complex(*here.u)
    origin = complex(*there.origin) + turn * (complex(*box[:2]) - complex(*here.origin))
    matrix = (turn.real, -turn.imag, origin.real, turn.imag, turn.real, origin.imag)
    size = box[2] - box[0], box[3] - box[1]
    return np.array(resample(image, matrix, size)).transpose(2, 0, 1)


def _enlarged(values: Tensor, x: Tensor, y: Tensor, shape: tuple[int, int]) -> Tensor:
    """Values ``1×C×h×w`` of a window at places in its widths: ``C×H×W``, bicubic."""
    height, width = shape
    places = torch.stack([2 * x - 1, 2 * y * width / height - 1], dim=-1)[None]
    return F.grid_sample(
        values, places, mode="bicubic", padding_mode="border", align_corners=False
    )[0]
