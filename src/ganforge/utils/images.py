"""The one conversion between stored images and what networks see, and image files.

Images are uint8 ``N×C×H×W`` in ``[0, 255]`` at every public boundary and float in ``[-1, 1]`` only
between normalisation and the networks.
"""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ganforge.utils.files import atomic_path
from ganforge.utils.png import open_png
from ganforge.utils.terminal import told_if_slow

log = logging.getLogger(__name__)

JPEG_QUALITY = 95  # and WebP's; Pillow's own 75 shows blocks. Formats without loss ignore it.

GIF_SIDE = 1024  # pixels: larger grids are made smaller
PALETTE_FRAMES = 16  # that the colours of a GIF are chosen from


def to_float(images: Tensor) -> Tensor:
    """Map uint8 ``[0, 255]`` to float32 ``[-1, 1]``; 0 is -1 and 255 is 1, exactly."""
    return images.float().div_(127.5).sub_(1.0)


def to_uint8(images: Tensor) -> Tensor:
    """Map float ``[-1, 1]`` to uint8 ``[0, 255]``: clamped, and rounded to the nearest level."""
    return images.detach().float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)


def to_pil(image: Tensor) -> Image.Image:
    """Turn one uint8 ``C×H×W`` image (C = 1 or 3) into a PIL image."""
    array = image.cpu().permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)


def grid(images: Tensor, columns: int | None = None, padding: int = 2, scale: int = 1) -> Tensor:
    """Tile uint8 ``N×C×H×W`` images, row by row, into one uint8 ``C×H'×W'`` picture on white.

    ``columns`` defaults to the square-most layout; ``scale`` repeats pixels (nearest neighbour).
    """
    images = images.repeat_interleave(scale, -1).repeat_interleave(scale, -2).cpu()
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    cell_h, cell_w = height + padding, width + padding
    canvas = torch.full(
        (channels, rows * cell_h + padding, columns * cell_w + padding), 255, dtype=torch.uint8
    )
    for i, image in enumerate(images):
        top, left = padding + i // columns * cell_h, padding + i % columns * cell_w
        canvas[:, top : top + height, left : left + width] = image
    return canvas


def save_image(image: Tensor, path: Path) -> None:
    """Write one uint8 ``C×H×W`` image atomically; the suffix chooses the format."""
    with atomic_path(path) as temporary:
        to_pil(image).save(temporary, quality=JPEG_QUALITY)


def save_pages(
    images: Sequence[Tensor], path: Path, milliseconds: Sequence[float] | None = None
) -> None:
    """Write uint8 ``C×H×W`` images atomically as the pages or frames of one TIFF, PNG or WebP.

    ``milliseconds`` says how long each is shown, for ever again; None for pages.
    """
    first, *rest = [to_pil(image) for image in images]
    times = {} if milliseconds is None else {"duration": list(milliseconds), "loop": 0}
    with atomic_path(path) as temporary:
        first.save(temporary, save_all=True, append_images=rest, quality=JPEG_QUALITY, **times)


def save_gif(frames: Sequence[Image.Image], path: Path, milliseconds: int = 120) -> None:
    """Write an endless GIF atomically; the last frame stays for a second and a half.

    All frames share one palette, chosen from all of them: one a frame costs twenty times as much.
    """
    durations = [milliseconds] * (len(frames) - 1) + [1500]
    colours = [frame.convert("RGB") for frame in frames]
    palette = _strip(colours[::-1][:: math.ceil(len(colours) / PALETTE_FRAMES)]).quantize(256)
    first, *rest = [c.quantize(palette=palette, dither=Image.Dither.NONE) for c in colours]
    with atomic_path(path) as temporary:
        first.save(temporary, save_all=True, append_images=rest, duration=durations, loop=0)


def _strip(frames: Sequence[Image.Image]) -> Image.Image:
    """Some frames one below the other, at half their sides: what a palette is chosen from."""
    sizes = [(-(-frame.width // 2), -(-frame.height // 2)) for frame in frames]
    nearest = Image.Resampling.NEAREST  # no colour that is not there
    small = [frame.resize(size, nearest) for frame, size in zip(frames, sizes, strict=True)]
    strip = Image.new("RGB", (max(f.width for f in small), sum(f.height for f in small)))
    top = 0
    for frame in small:
        strip.paste(frame, (0, top))
        top += frame.height
    return strip


def join_gif(pictures: Sequence[Path], path: Path, most_frames: int = 100) -> None:
    """Join image files into a GIF: at most ``most_frames``, evenly spaced, the last among them."""
    if not pictures:
        return
    stride = math.ceil(len(pictures) / most_frames)
    frames = []
    with told_if_slow(f"joining {-(-len(pictures) // stride)} pictures into {path.name}"):
        for picture in pictures[::-1][::stride][::-1]:
            try:
                frame = open_png(picture)
            except (OSError, ValueError) as error:
                log.warning("%s is left out of %s: it cannot be read (%s)", picture, path, error)
                continue
            frame.thumbnail((GIF_SIDE, GIF_SIDE))
            frames.append(frame)
        if frames:
            save_gif(frames, path)
