"""What lips do while something is said: the phonemes' shapes, blended as muscles blend them."""

from collections.abc import Sequence

import numpy as np

from ganforge.data.people import Mouth

THOUSAND = 1000  # opening, width and teeth are stored as whole numbers
GRID = 200  # places a second
BLEND = 25  # of them that a shape is blended over
CLOSING = 0.06  # seconds in which lips close before p, b, m, and open after them
SHAPES: dict[str, Mouth] = {
    "shut": Mouth(0.0, 0.2, 0.0),
    "f": Mouth(0.12, 0.3, 1.0),
    "th": Mouth(0.22, 0.3, 0.9),
    "t": Mouth(0.2, 0.4, 0.7),
    "s": Mouth(0.12, 0.7, 1.0),
    "sh": Mouth(0.25, -0.5, 0.9),
    "k": Mouth(0.32, 0.2, 0.4),
    "r": Mouth(0.25, -0.45, 0.3),
    "w": Mouth(0.16, -1.0, 0.0),
    "u": Mouth(0.3, -0.9, 0.0),
    "o": Mouth(0.55, -0.6, 0.1),
    "a": Mouth(0.95, 0.1, 0.5),
    "e": Mouth(0.5, 0.7, 0.6),
    "i": Mouth(0.25, 1.0, 0.8),
    "other": Mouth(0.45, 0.1, 0.45),
    "rest": Mouth(0.0, 0.0, 0.0),
}
# Beginnings of eSpeak's names of phonemes; the first that fits counts.
PHONEMES: dict[str, tuple[str, ...]] = {
    "shut": ("p", "b", "m"),
    "f": ("f", "v"),
    "sh": ("S", "Z", "tS", "dZ"),
    "th": ("T", "D"),
    "s": ("s", "z"),
    "t": ("t", "d", "n", "l"),
    "k": ("k", "g", "N", "h", "x", "?"),
    "w": ("w",),
    "r": ("r",),
    "u": ("u", "U"),
    "o": ("O", "o", "0"),
    "a": ("A", "a", "&"),
    "e": ("E", "e"),
    "i": ("i", "I", "j"),
}
# Six mouths that the eye tells apart.
CLASSES: dict[str, Mouth] = {
    "shut": SHAPES["shut"],
    "narrow": Mouth(0.16, 0.5, 0.85),
    "round": Mouth(0.22, -0.9, 0.1),
    "o": SHAPES["o"],
    "mid": Mouth(0.45, 0.3, 0.45),
    "wide": SHAPES["a"],
}


def shape_of(phoneme: str) -> str:
    """The name of the shape that a phoneme has."""
    if not phoneme.strip("_:"):
        return "rest"
    phoneme = phoneme.lstrip("',%=_:|!")
    if not phoneme:
        return "rest"
    found = (name for name, heads in PHONEMES.items() if phoneme.startswith(heads))
    return next(found, "other")


def follow(
    phonemes: Sequence[tuple[float, str]], seconds: float, moments: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mouths (opening, width, teeth) ``n×3`` at some ``moments``, and which of these are p, b, m.

    Lips close fully in p, b and m, however short they are; all else is blended over 1/8 second.
    """
    grid = np.zeros((int(seconds * GRID) + 1, 3))
    places, shut, closing = np.arange(len(grid)) / GRID, np.zeros(len(grid), bool), 0 * grid[:, 0]
    times = [*(time for time, _ in phonemes), seconds]
    for (start, phoneme), end in zip(phonemes, times[1:], strict=True):
        name = shape_of(phoneme)
        shape = SHAPES[name]
        span = slice(int(start * GRID), int(end * GRID))
        grid[span] = shape.opening, shape.width, shape.teeth
        if name == "shut":
            shut[span] = True
            away = np.abs(places - (start + end) / 2) - 0.35 * (end - start)
            closing = np.maximum(closing, (1 - away / CLOSING).clip(0, 1))
    window = np.hanning(BLEND) / np.hanning(BLEND).sum()
    half = BLEND // 2
    smooth = np.stack(
        [np.convolve(np.pad(column, half, mode="edge"), window, "valid") for column in grid.T], 1
    )
    smooth[:, 0] *= 1 - closing
    smooth[:, 2] *= 1 - closing
    rows = (moments * GRID).astype(int).clip(0, len(grid) - 1)
    return smooth[rows], shut[rows]
