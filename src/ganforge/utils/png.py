"""The guarded door of our own pictures, without torch: workers that draw start without it."""

import io
import warnings
from pathlib import Path

from PIL import Image


def open_png(source: Path | bytes) -> Image.Image:
    """Decode one of our own pictures; raises OSError, or ValueError for more pixels than it has.

    A folder may come from anyone: Pillow would hand a file that begins as PostScript to another
    program, whatever it is called.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=("PNG",)) as image:
                image.load()
                return image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, SyntaxError) as error:
        raise ValueError(str(error)) from error
