"""Words beside pictures: above the columns and left of the rows of a grid."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

INK, FONT_SIZE, GAP = "#222222", 13, 2


def with_captions(
    tiles: Image.Image, columns: Sequence[str], rows: Sequence[str] = ()
) -> Image.Image:
    """Put a word above each column and left of each row of ``grid``'s picture with padding ``GAP``.

    Without rows, or without any word above a column, their margin is left out.
    """
    # Imported here: a training should not wait for it before its first step.
    from matplotlib import get_data_path

    # Pillow's own font has no arrows and no Greek.
    font = ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), FONT_SIZE)
    left = round(max(font.getlength(word) for word in rows)) + 12 if rows else 0
    top = FONT_SIZE + 8 if any(columns) else 0
    canvas = Image.new("RGB", (left + tiles.width, top + tiles.height), "white")
    canvas.paste(tiles, (left, top))
    pen = ImageDraw.Draw(canvas)
    for i, word in enumerate(columns):
        middle = left + _middle(i, len(columns), tiles.width)
        pen.text((middle, top - 3), word, INK, font, anchor="ms")
    for i, word in enumerate(rows):
        middle = top + _middle(i, len(rows), tiles.height)
        pen.text((left - 6, middle), word, INK, font, anchor="rm")
    return canvas


def _middle(index: int, count: int, length: int) -> float:
    """Where the middle of a cell lies along a side of ``count`` cells."""
    cell = (length - GAP) / count
    return GAP + index * cell + (cell - GAP) / 2
