"""Findings of ``ganforge explore`` as files: labelled sheets, heat maps, films and a JSON."""

import math
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from ganforge.latent.space import Film, Findings, Matrix, Sheet
from ganforge.utils.captions import GAP, INK, with_captions
from ganforge.utils.errors import UserError
from ganforge.utils.files import atomic_path, write_json
from ganforge.utils.images import grid, to_pil

MILLISECONDS, REST = 80, 1500  # of a frame, of the last one where a film does not loop


def check_film(film: str) -> None:
    """Refuse a kind of film that cannot be written, before a tool works for it."""
    if film not in FILMS:
        raise UserError(f"film={film} is no kind of film: choose {' or '.join(FILMS)}")
    if film == "mp4" and find_spec("imageio_ffmpeg") is None:
        raise UserError("film=mp4 needs a package: pip install imageio-ffmpeg")


def write_findings(
    findings: Findings, facts: Mapping[str, Any], folder: Path, film: str
) -> list[str]:
    """Write every picture and ``explore.json``; returns the names of the files."""
    files = []
    for name, picture in findings.pictures.items():
        if isinstance(picture, Film):
            path = folder / f"{name}.{film}"
            FILMS[film](film_frames(picture), path, picture.loops)
        else:
            path = folder / f"{name}.png"
            draw = draw_sheet if isinstance(picture, Sheet) else draw_matrix
            draw(picture, path)
        files.append(path.name)
    write_json({**facts, "findings": findings.numbers, "files": files}, folder / "explore.json")
    return [*files, "explore.json"]


def scale_for(side: int, smallest: int = 64) -> int:
    """How often a pixel is repeated, so that small images can be seen."""
    return max(1, math.ceil(smallest / side))


def draw_sheet(sheet: Sheet, path: Path) -> None:
    """Tile images with a word above each column and left of each row."""
    columns, scale = len(sheet.columns), scale_for(sheet.images.shape[-1])
    tiles = to_pil(grid(sheet.images, columns, padding=GAP, scale=scale)).convert("RGB")
    canvas = with_captions(tiles, sheet.columns, sheet.rows)
    with atomic_path(path) as temporary:
        canvas.save(temporary, optimize=True)


def draw_matrix(matrix: Matrix, path: Path) -> None:
    """Draw a heat map with its numbers; the largest of each row is framed."""
    rows, columns = matrix.values.shape
    figure = Figure(
        figsize=(2.6 + 0.75 * columns, 1.2 + 0.38 * rows), dpi=100, layout="constrained"
    )
    axes = figure.subplots()
    axes.imshow(matrix.values, cmap="Blues", vmin=0, aspect="auto")
    middle = matrix.values.max() / 2
    for i in range(rows):
        for j in range(columns):
            value = matrix.values[i, j]
            colour = "white" if value > middle else INK
            axes.text(j, i, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=9)
        largest = int(matrix.values[i].argmax())
        axes.add_patch(_frame(largest, i))
    axes.set_xticks(range(columns), matrix.columns, rotation=30, ha="right", parse_math=False)
    axes.set_yticks(range(rows), matrix.rows, parse_math=False)
    axes.set_title(matrix.title, fontsize=10, loc="left", parse_math=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)


def _frame(column: int, row: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="#e07a1f", lw=2)


def film_frames(film: Film) -> list[Image.Image]:
    """Tile the images of each frame."""
    scale = scale_for(film.frames[0].shape[-1], 96)
    return [to_pil(grid(frame, film.columns, padding=GAP, scale=scale)) for frame in film.frames]


def write_gif(frames: Sequence[Image.Image], path: Path, loops: bool) -> None:
    """Write an endless GIF; a film that does not loop rests on its last frame."""
    # One palette of 256 colours for all frames: with one each, still areas flicker.
    first, *rest = _with_one_palette(frames)
    durations = [MILLISECONDS] * len(rest) + [MILLISECONDS if loops else REST]
    with atomic_path(path) as temporary:
        first.save(temporary, save_all=True, append_images=rest, duration=durations, loop=0)


def _with_one_palette(frames: Sequence[Image.Image]) -> list[Image.Image]:
    wide = Image.new("RGB", (frames[0].width, sum(frame.height for frame in frames)))
    for i, frame in enumerate(frames):
        wide.paste(frame, (0, i * frame.height))
    palette = wide.quantize(256)
    plain = Image.Dither.NONE
    return [frame.convert("RGB").quantize(palette=palette, dither=plain) for frame in frames]


def write_mp4(frames: Sequence[Image.Image], path: Path, loops: bool) -> None:
    """Write an MP4 (H.264); one that does not loop rests on its last frame."""
    from imageio_ffmpeg import write_frames

    frames = [*frames, *[frames[-1]] * (0 if loops else REST // MILLISECONDS)]
    # H.264 wants even sides.
    size = tuple(side + side % 2 for side in frames[0].size)
    with atomic_path(path) as temporary:
        writer = write_frames(
            str(temporary), size, fps=1000 / MILLISECONDS, quality=8, macro_block_size=2,
            output_params=["-fflags", "+bitexact", "-flags:v", "+bitexact", "-threads", "1"],
        )  # fmt: skip
        writer.send(None)
        for frame in frames:
            canvas = Image.new("RGB", size, "white")
            canvas.paste(frame)
            writer.send(canvas.tobytes())
        writer.close()


FILMS: dict[str, Callable[[Sequence[Image.Image], Path, bool], None]] = {
    "gif": write_gif,
    "mp4": write_mp4,
}
