"""Findings of ``ganforge explore`` as files: labelled sheets, heat maps, films and a JSON."""

import math
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from ganforge.latent.space import Film, Findings, Matrix, Sheet
from ganforge.utils.captions import GAP, INK, with_captions
from ganforge.utils.errors import UserError
from ganforge.utils.files import atomic_path, write_json
from ganforge.utils.images import grid, to_pil
from ganforge.utils.png import open_png

MILLISECONDS, REST = 80, 1500  # of a frame, of the last one where a film does not loop


def check_film(film: str) -> None:
    """Refuse a kind of film that cannot be written, before a tool works for it."""
    if film not in FILMS:
        raise UserError(f"film={film} is no kind of film: choose {' or '.join(FILMS)}")
    if film == "mp4" and find_spec("imageio_ffmpeg") is None:
        raise UserError("film=mp4 needs a package: pip install 'ganforge[video]'")


@dataclass(frozen=True)
class Exploration:
    """What a tool found in a trained model, and what was asked for; a notebook shows it."""

    findings: Findings
    facts: Mapping[str, Any]

    @property
    def numbers(self) -> dict[str, Any]:
        """Every number behind the pictures."""
        return self.findings.numbers

    @property
    def lines(self) -> Sequence[str]:
        """What was found, in words."""
        return self.findings.lines

    def picture(self, name: str | None = None) -> Image.Image:
        """A picture by its name, without one the first; of a film the first frame."""
        pictures = self.findings.pictures
        name = next(iter(pictures)) if name is None else name
        if name not in pictures:
            raise UserError(f"there is no picture {name}: choose from {', '.join(pictures)}")
        return frames_of(pictures[name])[0]

    def save(self, folder: str | Path, film: str = "gif") -> list[str]:
        """Write every picture and ``explore.json``; returns the names of the files."""
        check_film(film)
        folder, files = Path(folder).expanduser(), []
        for name, picture in self.findings.pictures.items():
            if isinstance(picture, Film):
                path = folder / f"{name}.{film}"
                FILMS[film](frames_of(picture), path, picture.loops)
            else:
                path = folder / f"{name}.png"
                with atomic_path(path) as temporary:
                    frames_of(picture)[0].save(temporary, "PNG", optimize=True)
            files.append(path.name)
        record = {**self.facts, "findings": self.numbers, "files": files}
        write_json(record, folder / "explore.json")
        return [*files, "explore.json"]

    def _repr_png_(self) -> bytes:
        return _png(self.picture())

    def _repr_html_(self) -> str:
        parts = [f"<p>{'<br>'.join(map(escape, self.lines))}</p>"]
        for name, picture in self.findings.pictures.items():
            film = isinstance(picture, Film)
            data = _gif(picture) if film else _png(frames_of(picture)[0])
            kind, text = "gif" if film else "png", b64encode(data).decode()
            image = f'<img alt="{escape(name)}" src="data:image/{kind};base64,{text}">'
            parts.append(f"<figure>{image}<figcaption>{escape(name)}</figcaption></figure>")
        return "\n".join(parts)


def _png(image: Image.Image) -> bytes:
    image.save(buffer := BytesIO(), "PNG")
    return buffer.getvalue()


def _gif(film: Film) -> bytes:
    write_gif(frames_of(film), buffer := BytesIO(), film.loops)
    return buffer.getvalue()


def frames_of(picture: Sheet | Matrix | Film) -> list[Image.Image]:
    """A picture drawn: several frames of a film, one of anything else."""
    if isinstance(picture, Film):
        return film_frames(picture)
    return [draw_sheet(picture) if isinstance(picture, Sheet) else draw_matrix(picture)]


def scale_for(side: int, smallest: int = 64) -> int:
    """How often a pixel is repeated, so that small images can be seen."""
    return max(1, math.ceil(smallest / side))


def draw_sheet(sheet: Sheet) -> Image.Image:
    """Tile images with a word above each column and left of each row."""
    columns, scale = len(sheet.columns), scale_for(sheet.images.shape[-1])
    tiles = to_pil(grid(sheet.images, columns, padding=GAP, scale=scale)).convert("RGB")
    return with_captions(tiles, sheet.columns, sheet.rows)


def draw_matrix(matrix: Matrix) -> Image.Image:
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
    figure.savefig(buffer := BytesIO())
    return open_png(buffer.getvalue())


def _frame(column: int, row: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="#e07a1f", lw=2)


def film_frames(film: Film) -> list[Image.Image]:
    """Tile the images of each frame."""
    scale = scale_for(film.frames[0].shape[-1], 96)
    return [to_pil(grid(frame, film.columns, padding=GAP, scale=scale)) for frame in film.frames]


def write_gif(frames: Sequence[Image.Image], path: Path | BytesIO, loops: bool) -> None:
    """Write an endless GIF; a film that does not loop rests on its last frame."""
    # One palette of 256 colours for all frames: with one each, still areas flicker.
    first, *rest = _with_one_palette(frames)
    durations = [MILLISECONDS] * len(rest) + [MILLISECONDS if loops else REST]
    options = {"save_all": True, "append_images": rest, "duration": durations, "loop": 0}
    if isinstance(path, BytesIO):
        first.save(path, "GIF", **options)
        return
    with atomic_path(path) as temporary:
        first.save(temporary, "GIF", **options)


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
