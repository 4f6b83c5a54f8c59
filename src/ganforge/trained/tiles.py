"""Images too large for the memory: translated in overlapping pieces and blended."""

from collections.abc import Callable

import torch
from torch import Tensor


def translate_tiled(
    translate: Callable[[Tensor], Tensor], images: Tensor, tile: int, overlap: int
) -> Tensor:
    """Translate uint8 ``N×C×H×W`` in pieces of at most ``tile`` pixels a side.

    Neighbours share ``overlap`` pixels, over which one fades into the other. An image that fits in
    one piece is translated whole. Networks with instance norm see other statistics in every piece:
    colours may drift from piece to piece, but no seam shows.
    """
    height, width = images.shape[-2:]
    if height <= tile and width <= tile:
        return translate(images).cpu()
    rows, columns = starts(height, tile, overlap), starts(width, tile, overlap)
    total: Tensor | None = None
    weights = torch.zeros(height, width)
    for top in rows:
        for left in columns:
            piece = translate(images[..., top : top + tile, left : left + tile]).cpu().float()
            fade = torch.outer(ramp(piece.shape[-2], overlap), ramp(piece.shape[-1], overlap))
            place = (slice(top, top + piece.shape[-2]), slice(left, left + piece.shape[-1]))
            if total is None:
                total = torch.zeros(*piece.shape[:2], height, width)
            total[(..., *place)] += piece * fade
            weights[place] += fade
    return total.div_(weights).round_().clamp_(0, 255).to(torch.uint8)


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where pieces begin, so that they cover ``length`` evenly and share at least ``overlap``."""
    if length <= tile:
        return [0]
    count = -(-(length - overlap) // (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def ramp(length: int, overlap: int) -> Tensor:
    """Weights of a piece's pixels: rising over ``overlap`` from each border, never 0."""
    distance = torch.arange(1, length + 1).minimum(torch.arange(length, 0, -1))
    return (distance / (overlap + 1)).clamp(max=1.0)
