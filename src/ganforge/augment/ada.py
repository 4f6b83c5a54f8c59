"""Adaptive discriminator augmentation (Karras et al. 2020, "ADA").

Every operation happens to a sample with probability p, and p follows how well the critic knows the
real images by heart. One bilinear resampling does all geometry; the paper's wavelet filter around
it is left out, so thin lines soften a little. Images are square.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganforge.augment.shapes import need_images


class ADA(nn.Module):
    """The paper's pipeline "bgc": pixel blitting, geometry and colour, each with probability ``p``.

    Overfitting is read as r_t = E[sign] of the critic's verdicts on real images, over ``interval``
    updates. Above ``target`` p rises, below it p falls, by as much as would take it from 0 to 1 in
    ``speed_kimg`` thousand images. The paper takes the sign of the logit, whose boundary is 0 for
    its loss; verdicts have theirs at 0 for every loss that has one.
    """

    needs_boundary = True

    def __init__(
        self,
        target: float = 0.6,
        speed_kimg: float = 500.0,
        interval: int = 4,
        p: float = 0.0,
        most: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= p <= most <= 1 or speed_kimg <= 0 or interval < 1:
            raise ValueError(
                f"model.objective.augment.p={p}, model.objective.augment.most={most}, speed_kimg "
                f"{speed_kimg}, interval {interval}: "
                "0 <= p <= most <= 1, a speed above 0 and an interval of at least 1 are needed"
            )
        self.target, self.speed_kimg, self.interval, self.most = target, speed_kimg, interval, most
        self.register_buffer("p", torch.tensor(float(p)))
        self.register_buffer("signs", torch.zeros(3))  # sum, how many, of how many images
        self._updates = 0  # a number, not a buffer: reading that would wait for the device

    def forward(self, images: Tensor) -> Tensor:
        """Change float ``N×C×H×W`` in ``[-1, 1]``; fp32, as bf16 has no place for a grid."""
        need_images(images, self)
        with torch.autocast(images.device.type, enabled=False):
            images = images.float()
            grid = F.affine_grid(self._geometry(images)[:, :2], list(images.shape), False)
            moved = Resample.apply(images, grid)
            return recoloured(moved, self._colour(images))

    def observe(self, verdicts: Tensor) -> dict[str, Tensor]:
        """Count the signs (1: "real"); every ``interval`` updates move p. Ranks move together."""
        # Numbers are added as numbers: a tensor made of them would make the host wait for a GPU.
        self.signs[0] += verdicts.float().sign().sum()
        self.signs[1] += verdicts.numel()
        self.signs[2] += len(verdicts)
        self._updates += 1
        if self._updates % self.interval == 0:
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.all_reduce(self.signs)
            total, count, images = self.signs
            step = images / (1000 * self.speed_kimg)
            moved = self.p + step * (total / count - self.target).sign()
            self.p.copy_(moved.clamp(0, self.most))
            self.signs.zero_()
        return {"augment_p": self.p.clone()}

    def graph_key(self, calls: int) -> tuple[bool, ...]:
        """After which of the next updates p moves: what a recorded step depends on."""
        return tuple((self._updates + i + 1) % self.interval == 0 for i in range(calls))

    def advance(self, calls: int) -> None:
        """Count updates that a recorded step did."""
        self._updates += calls

    def get_extra_state(self) -> dict[str, int]:
        """How many updates there were."""
        return {"updates": self._updates}

    def set_extra_state(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self._updates = state["updates"]

    def _maybe(self, drawn: Tensor, identity: float, p: Tensor | None = None) -> Tensor:
        """What was drawn, ``N`` or ``K×N``, with probability ``p``, else what changes nothing.

        All that belongs to a sample happens together.
        """
        chance = torch.rand(drawn.shape[-1], device=drawn.device)
        return torch.where(chance < (self.p if p is None else p), drawn, identity)

    def _geometry(self, images: Tensor) -> Tensor:
        """One matrix a sample, ``N×3×3``, on coordinates in ``[-1, 1]``."""
        n, side, device = len(images), images.shape[-1], images.device
        uniform = lambda: torch.rand(n, device=device)  # noqa: E731
        normal = lambda: torch.randn(n, device=device)  # noqa: E731
        one = torch.ones(n, device=device)
        flip = self._maybe(1 - 2 * (uniform() < 0.5).float(), 1.0)
        quarter = self._maybe((uniform() * 4).floor() * (math.pi / 2), 0.0)
        pixels = ((torch.rand(2, n, device=device) - 0.5) * 0.25 * side).round()
        shift = self._maybe(pixels * 2 / side, 0.0)
        size = self._maybe((0.2 * normal()).exp2(), 1.0)
        # Two turns around the stretching: together they happen with probability p.
        p_turn = 1 - (1 - self.p).sqrt()
        turns = [self._maybe((uniform() * 2 - 1) * math.pi, 0.0, p_turn) for _ in range(2)]
        stretch = self._maybe((0.2 * normal()).exp2(), 1.0)
        drift = self._maybe(0.125 * 2 * torch.randn(2, n, device=device), 0.0)
        return (
            scaling(flip, one) @ rotation(quarter) @ translation(*shift) @ scaling(size, size)
            @ rotation(turns[0]) @ scaling(stretch, 1 / stretch) @ rotation(turns[1])
            @ translation(*drift)
        )  # fmt: skip

    def _colour(self, images: Tensor) -> Tensor:
        """One matrix a sample, ``N×4×4``, on (R, G, B, 1)."""
        n, device = len(images), images.device
        normal = lambda: torch.randn(n, device=device)  # noqa: E731
        brightness = self._maybe(0.2 * normal(), 0.0)
        contrast = self._maybe((0.5 * normal()).exp2(), 1.0)
        mirror = self._maybe((torch.rand(n, device=device) < 0.5).float(), 0.0)
        hue = self._maybe((torch.rand(n, device=device) * 2 - 1) * math.pi, 0.0)
        saturation = self._maybe(normal().exp2(), 1.0)
        return (
            saturate(saturation)
            @ turn_hue(hue)
            @ mirror_luma(mirror)
            @ brighten(brightness, contrast)
        )


BILINEAR, REFLECTION = 0, 1  # as torch.ops numbers them


class Resample(torch.autograd.Function):
    """``grid_sample`` whose gradient has a derivative, which torch's has not: R1 needs one.

    It is linear in the images, and the grid has no gradient.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        """Images ``N×C×H×W`` at the places of ``grid``."""
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return F.grid_sample(images, grid, "bilinear", "reflection", align_corners=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """The transposed map."""
        return _Scatter.apply(gradient, *ctx.saved_tensors, ctx.shape), None


class _Scatter(torch.autograd.Function):
    """The transposed map of ``Resample``; its own is ``Resample``."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        unread = gradient.new_empty(shape)  # only the grid's gradient would look at the images
        scattered, _ = torch.ops.aten.grid_sampler_2d_backward(
            gradient.contiguous(), unread, grid, BILINEAR, REFLECTION, False, [True, False]
        )
        return scattered

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return Resample.apply(gradient, *ctx.saved_tensors), None, None


def _matrix(rows: list[list[Tensor]]) -> Tensor:
    """``N×k×k`` of entries ``N``."""
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def scaling(x: Tensor, y: Tensor) -> Tensor:
    """``N×3×3``."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix([[x, zero, zero], [zero, y, zero], [zero, zero, one]])


def rotation(angle: Tensor) -> Tensor:
    """``N×3×3``, radians."""
    c, s, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return _matrix([[c, -s, zero], [s, c, zero], [zero, zero, one]])


def translation(x: Tensor, y: Tensor) -> Tensor:
    """``N×3×3``; a side is 2 long."""
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    return _matrix([[one, zero, x], [zero, one, y], [zero, zero, one]])


def brighten(brightness: Tensor, contrast: Tensor) -> Tensor:
    """``N×4×4``: plus ``brightness``, then times ``contrast``, in the order of the paper's code."""
    zero, one = torch.zeros_like(contrast), torch.ones_like(contrast)
    offset = contrast * brightness
    return _matrix(
        [
            [contrast, zero, zero, offset],
            [zero, contrast, zero, offset],
            [zero, zero, contrast, offset],
            [zero, zero, zero, one],
        ]
    )


def _colours(device: torch.device) -> Tensor:
    """The projector ``4×4`` on (R, G, B, 0), made on the device: nothing is copied to it."""
    kept = torch.ones(4, device=device)
    kept[3:].zero_()
    return torch.diag(kept)


def _luma(device: torch.device) -> Tensor:
    """The projector ``4×4`` on the grey axis (1, 1, 1, 0)/√3."""
    colours = _colours(device)
    return colours @ torch.full_like(colours, 1 / 3) @ colours


def mirror_luma(share: Tensor) -> Tensor:
    """``N×4×4``: colours mirrored along the grey axis where ``share`` is 1."""
    return torch.eye(4, device=share.device) - 2 * share[:, None, None] * _luma(share.device)


def turn_hue(angle: Tensor) -> Tensor:
    """``N×4×4``: a turn about the grey axis (Rodrigues' formula)."""
    grey, rgb = _luma(angle.device), _colours(angle.device)
    a = torch.full((), 1 / math.sqrt(3), device=angle.device)
    zero = torch.zeros_like(a)
    cross = _matrix([[zero, -a, a, zero], [a, zero, -a, zero], [-a, a, zero, zero], [zero] * 4])
    c, s = angle.cos()[:, None, None], angle.sin()[:, None, None]
    last = torch.eye(4, device=angle.device) - rgb
    return last + c * rgb + s * cross + (1 - c) * grey


def saturate(factor: Tensor) -> Tensor:
    """``N×4×4``: the distance to the grey axis times ``factor``."""
    grey, factor = _luma(factor.device), factor[:, None, None]
    rgb = _colours(grey.device)
    last = torch.eye(4, device=grey.device) - rgb
    return last + grey + factor * (rgb - grey)


def recoloured(images: Tensor, matrix: Tensor) -> Tensor:
    """Images of 3 channels through ``N×4×4``; grey ones keep the mean of its three rows.

    Raises ValueError for other images, such as pix2pix's pairs: they have no grey axis.
    """
    if (channels := images.shape[1]) not in (1, 3):
        raise ValueError(
            f"ADA changes colours of 1 or 3 channels, not of {channels}: choose "
            "augment=translation or augment=diffaugment"
        )
    if images.shape[1] == 1:
        row = matrix[:, :3].mean(1)
        scale, offset = row[:, :3].sum(1), row[:, 3]
        return images * scale[:, None, None, None] + offset[:, None, None, None]
    turned = torch.einsum("nij,njhw->nihw", matrix[:, :3, :3], images)
    return turned + matrix[:, :3, 3, None, None]
