"""What a moment of a video sounds like: a log-mel picture of the third of a second around it."""

from functools import cache
from math import gcd
from typing import Any, Generic, TypeVar

import numpy as np

from ganforge.data.source import Names, Source
from ganforge.utils.errors import UserError

RATE = 16_000  # samples a second that sound is brought to
Speakers = TypeVar("Speakers", bound=Source)

BANDS, COLUMNS, STEP = 32, 32, 0.010  # rows, columns, and seconds from a column to the next
WINDOW = 1024  # samples of a column's Fourier transform
LOWEST, HIGHEST = 60.0, 7600.0  # Hz
FLOOR, RANGE = -11.5, 20.0  # logarithm of the energy that is black, and from there to white


def frame_times(frames: int, fps: float) -> np.ndarray:
    """The middle of every frame in seconds: (i + ½) / fps, so that nothing drifts."""
    return (np.arange(frames) + 0.5) / fps


def sound_pictures(samples: np.ndarray, rate: int, seconds: np.ndarray) -> np.ndarray:
    """Uint8 ``n×1×32×32``: what is heard around each of ``seconds``.

    Beyond the sound there is silence, which is black. Rows are bands from low to high.
    """
    margin = WINDOW + round(COLUMNS * STEP * RATE)
    padded = np.pad(resampled(samples, rate).astype(np.float32), margin)
    offsets = (np.arange(COLUMNS) - (COLUMNS - 1) / 2) * STEP
    centres = np.round((seconds[:, None] + offsets) * RATE).astype(int) + margin
    starts = centres.clip(WINDOW // 2, len(padded) - WINDOW // 2) - WINDOW // 2
    # A view of every window: only those around the centres are read.
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)
    taper, bank = np.hanning(WINDOW).astype(np.float32), _bank()
    out = np.empty((len(seconds), 1, BANDS, COLUMNS), np.uint8)
    for first in range(0, len(seconds), 64):
        energy = np.abs(np.fft.rfft(windows[starts[first : first + 64]] * taper)) ** 2
        level = (np.log(energy @ bank.T + 1e-5) - FLOOR) / RANGE
        out[first : first + 64, 0] = np.round(255 * level).clip(0, 255).swapaxes(1, 2)
    return out


def resampled(samples: np.ndarray, rate: int) -> np.ndarray:
    """One channel at ``RATE``."""
    from scipy.signal import resample_poly

    wave = samples if samples.ndim == 1 else samples.mean(axis=1)
    if rate == RATE:
        return wave
    common = gcd(rate, RATE)
    return resample_poly(wave, RATE // common, rate // common)


@cache
def _bank() -> np.ndarray:
    """Triangles on the mel scale, ``BANDS×(WINDOW/2+1)``."""

    def mel(hertz: float) -> float:
        return 2595 * np.log10(1 + hertz / 700)

    corners = 700 * (10 ** (np.linspace(mel(LOWEST), mel(HIGHEST), BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(WINDOW, 1 / RATE)
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.minimum(rising, falling).clip(0)


class Sounds(Generic[Speakers]):
    """What is heard at the windows of ``talkers``: uint8 ``n×1×32×32``, silence is black."""

    label = None

    def __init__(self, talkers: Speakers) -> None:
        self._talkers = talkers

    def check(self, size: int | None, channels: int | None) -> None:
        """Sounds have one size."""
        if (size, channels) != (COLUMNS, 1):
            raise UserError(f"Sounds are 1×{BANDS}×{COLUMNS}, not {channels}×{size}×{size}.")

    def key(self) -> dict[str, Any]:
        """Return what decides the windows."""
        return {"sounds_of": self._talkers.key()}

    def names(self) -> Names:
        """Return nothing: the windows know who speaks."""
        return Names()
