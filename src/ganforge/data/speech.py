"""Speech made on this machine by eSpeak NG, with the time of every phoneme; an extra: GPL-3.

The library is loaded when it is asked to speak, from the package ``espeakng-loader`` or the system,
and nothing of it is part of ganforge.
"""

import ctypes
import ctypes.util
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.util import find_spec
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np

from ganforge.data.parallel import submit
from ganforge.utils.errors import UserError

SYNCHRONOUS, PHONEMES, STAY = 2, 1, 0x8000  # of espeak_Initialize: output, options
RATE, PITCH = 1, 3  # parameters
PHONEME = 7  # kind of event
UTF8 = 1


class Speech(NamedTuple):
    """Samples float ``[-1, 1]`` at ``rate`` a second, and (seconds, phoneme) in their order."""

    samples: np.ndarray
    rate: int
    phonemes: list[tuple[float, str]]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.rate


class _Id(ctypes.Union):
    _fields_ = (
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class _Speaker:
    """The library, initialised once in a process."""

    def __init__(self) -> None:
        path, data = _library()
        self._library = ctypes.CDLL(path)
        options = PHONEMES | STAY
        self.rate = self._library.espeak_Initialize(SYNCHRONOUS, 0, data, options)
        if self.rate <= 0:
            raise UserError(f"eSpeak NG in {path} does not start: install espeakng-loader again")
        self._samples: list[np.ndarray] = []
        self._phonemes: list[tuple[float, str]] = []
        self._callback = _CALLBACK(self._hear)  # kept: the library holds no reference
        self._library.espeak_SetSynthCallback(self._callback)

    def _hear(self, samples: Any, count: int, events: Any) -> int:
        if count > 0 and samples:
            self._samples.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while events[number].type:
            event = events[number]
            if event.type == PHONEME:
                phoneme = event.id.string.decode("utf-8", "replace")
                self._phonemes.append((event.audio_position / 1000, phoneme))
            number += 1
        return 0

    def speak(self, text: str, voice: str, speed: int, pitch: int) -> Speech:
        self._samples, self._phonemes = [], []
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise UserError(f"eSpeak NG has no voice {voice}: take one such as en-us or en-us+f2")
        self._library.espeak_SetParameter(RATE, speed, 0)
        self._library.espeak_SetParameter(PITCH, pitch, 0)
        words = text.encode() + b"\0"
        self._library.espeak_Synth(words, len(words), 0, 1, 0, UTF8, None, None)
        self._library.espeak_Synchronize()
        if not any(phoneme.strip("_:") for _, phoneme in self._phonemes):
            raise UserError(f"there is nothing to say in {text!r}: give some words")
        samples = np.concatenate(self._samples).astype(np.float32) / 32768
        return Speech(samples, self.rate, list(self._phonemes))


def speak(text: str, voice: str = "en-us", speed: int = 160, pitch: int = 50) -> Speech:
    """Say ``text``; ``speed`` in words a minute, ``pitch`` 0 to 99."""
    return _speaker().speak(text, voice, speed, pitch)


class Utterance(NamedTuple):
    """What is to be said, and how."""

    text: str
    voice: str
    speed: int
    pitch: int


def speak_alike(utterances: Sequence[Utterance]) -> list[Speech]:
    """All of them, sample for sample the same each time.

    What eSpeak NG says depends a little on all that it has said before in its process, and nothing
    resets it: these are said in a process of their own.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return submit(pool, _speak_all, utterances).result()


def _speak_all(utterances: Sequence[Utterance]) -> list[Speech]:
    return [speak(*utterance) for utterance in utterances]


@cache
def _speaker() -> _Speaker:
    return _Speaker()


def _library() -> tuple[str, bytes | None]:
    """Where the library lies, and its data where that is not the system's."""
    if find_spec("espeakng_loader") is not None:
        import espeakng_loader

        return espeakng_loader.get_library_path(), espeakng_loader.get_data_path().encode()
    if found := ctypes.util.find_library("espeak-ng"):
        return found, None
    raise UserError(
        "speech is made by eSpeak NG, which is not here: pip install 'ganforge[speech]', or the "
        "system's package espeak-ng"
    )
