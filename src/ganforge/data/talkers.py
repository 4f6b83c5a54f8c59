"""Drawn people who say drawn sentences: lips that follow the phonemes, and the sound beside them.

The truth of every frame is known. Neither people, nor sentences, nor words are in both splits, and
a third of the test videos have a voice that was not trained on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ganforge.data.avatars import person
from ganforge.data.lips import SHAPES, THOUSAND, follow
from ganforge.data.parallel import map_chunks
from ganforge.data.people import Mouth, Person, Pose, random_pose
from ganforge.data.regions import ATTRIBUTES, QUIET, SPEAKING
from ganforge.data.sound import BANDS, COLUMNS, Sounds, frame_times, sound_pictures
from ganforge.data.source import SPLITS, Chunk, Names, check_size
from ganforge.data.speech import Speech, Utterance, speak_alike
from ganforge.data.windows import cut
from ganforge.utils.errors import UserError
from ganforge.utils.regions import Placement, Region

VERSION = 1  # raise it when the same options give other windows or sounds
FPS = 25.0
PICTURE = 2.4  # side of the drawn picture, in widths of the window that is cut out of it
LIPS = ("opening", "width", "teeth")  # stored in thousandths

VOICES = (
    "en-us", "en-us+m1", "en-us+m2", "en-us+m3", "en-us+m4", "en-us+m5", "en-us+m6", "en-us+m7",
    "en-us+f1", "en-us+f2", "en-us+f4", "en-us+f5", "en-us+klatt", "en-us+klatt2", "en-us+Annie",
    "en-us+Michael", "en-gb-x-rp", "en-gb-x-rp+m1", "en-gb-x-rp+f2", "en-gb-x-gbclan+m3",
    "en-gb-x-gbclan+f4", "en-029+m5",
)  # fmt: skip
NEW_VOICE = "en-gb-scotland+f3"
WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "train": {
        "nouns": (
            "boat", "river", "mother", "window", "garden", "apple", "moon", "father", "summer",
            "baby", "music", "pepper", "ocean", "table", "sister", "number", "village", "monkey",
            "coffee", "paper", "mountain", "wolf", "tower", "fever", "bottle", "rabbit", "farmer",
            "island", "shadow", "honey",
        ),
        "adjectives": (
            "blue", "happy", "old", "warm", "five", "funny", "small", "empty", "purple", "bright",
            "heavy", "brave", "smooth", "yellow", "proud",
        ),
        "verbs": (
            "moved", "saw", "found", "opened", "followed", "bought", "washed", "remembered",
            "carried", "painted", "chased", "watched", "needed", "loved", "pushed",
        ),
    },
    "test": {
        "nouns": (
            "bubble", "forest", "movie", "spoon", "valley", "penguin", "shoulder", "umbrella",
        ),
        "adjectives": ("famous", "broken", "wooden", "velvet"),
        "verbs": ("vanished behind", "borrowed", "welcomed", "bumped into"),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One window: who is drawn how, and the frame of which sentence is heard (None: silence)."""

    person: str
    number: int
    pose: Pose
    mouth: Mouth
    said: tuple[int, float] | None
    shut: bool = False
    new_voice: bool = False


class Talkers:
    """Windows around the mouths of drawn people.

    Training: ``train_count`` people, of each a quiet window and ``frames`` speaking ones, out of
    ``sentences`` in 22 voices. Test: ``test_count`` videos, of each a quiet window and then all
    frames in their order.
    """

    label = None

    def __init__(
        self,
        region: Region,
        train_count: int = 2250,
        test_count: int = 12,
        frames: int = 4,
        sentences: int = 160,
        seed: int = 0,
        workers: int | None = None,
    ) -> None:
        if min(train_count, test_count) < 2 or min(frames, sentences) < 1:
            raise UserError(
                f"{train_count} and {test_count} talkers with {frames} frames of {sentences} "
                "sentences are too few: there must be 2 people in each split who say something."
            )
        self._counts = dict(zip(SPLITS, (train_count, test_count), strict=True))
        self._region, self._frames, self._sentences = region, frames, sentences
        self._seed, self._workers = seed, workers

    def check(self, size: int | None, channels: int | None) -> None:
        """Refuse sizes at which lips cannot be told, and grey."""
        check_size("Windows around mouths", size, 16, 1024)
        if channels != 3:
            raise UserError("Drawn people are in colour: leave data.channels at 3.")

    def key(self) -> dict[str, Any]:
        """Return what decides windows and sounds."""
        region = self._region
        return {
            "talkers": VERSION,
            "window": [[list(anchor) for anchor in region.anchors], region.aspect],
            "counts": self._counts,
            "frames": self._frames,
            "sentences": self._sentences,
            "seed": self._seed,
        }

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:  # noqa: ARG002
        """Draw the rows of ``split`` in a pool of processes."""
        rows, _ = self.rows(split)
        draw, start = partial(_draw_many, self._region, size), 0
        for images in map_chunks(draw, rows, f"drawing {split} talkers", self._workers):
            part = rows[start : start + len(images)]
            columns = [_columns(row, start + i) for i, row in enumerate(part)]
            yield Chunk(images, attributes=np.array(columns, np.int64))
            start += len(images)

    def names(self) -> Names:
        """Return the columns: behind those of all windows, lips in thousandths, p, b, m, voices."""
        return Names(attributes=ATTRIBUTES | {key: [] for key in (*LIPS, "shut", "new_voice")})

    def rows(self, split: str) -> tuple[list[Row], list[Speech]]:
        """All rows of ``split`` in their order, and the sentences that they are frames of."""
        rng = np.random.default_rng([self._seed, SPLITS.index(split)])
        if split == "test":
            return self._videos(rng)
        said = speak_alike(
            [_sentence(rng, split, str(rng.choice(VOICES))) for _ in range(self._sentences)]
        )
        moments = [frame_times(int(one.seconds * FPS), FPS) for one in said]
        lips = [follow(s.phonemes, s.seconds, m) for s, m in zip(said, moments, strict=True)]
        frames = [(i, j) for i, at in enumerate(moments) for j in range(len(at))]
        rows = []
        for number in range(self._counts[split]):
            who, pose = person(split, self._seed, number), random_pose(rng)
            rows.append(Row(who, number, pose, SHAPES["rest"], None))
            for i, j in (frames[k] for k in rng.integers(len(frames), size=self._frames)):
                mouths, shut = lips[i]
                now = _moved(pose, rng) if rng.random() < 0.75 else random_pose(rng)
                mouth = Mouth(*mouths[j])
                rows.append(Row(who, number, now, mouth, (i, moments[i][j]), bool(shut[j])))
        return rows, said

    def _videos(self, rng: np.random.Generator) -> tuple[list[Row], list[Speech]]:
        """Every frame of each test video; the head moves slowly."""
        rows, count = [], self._counts["test"]
        known = [number < count - count // 3 for number in range(count)]
        voices = [str(rng.choice(VOICES)) if each else NEW_VOICE for each in known]
        said = speak_alike([_sentence(rng, "test", voice) for voice in voices])
        for number, (speech, new) in enumerate(zip(said, (not k for k in known), strict=True)):
            who, pose = person("test", self._seed, number), random_pose(rng)
            moments = frame_times(int(speech.seconds * FPS), FPS)
            mouths, shut = follow(speech.phonemes, speech.seconds, moments)
            rows.append(Row(who, number, pose, SHAPES["rest"], None, new_voice=new))
            for j, moment in enumerate(moments):
                x, y = pose.shift
                now = replace(
                    pose,
                    rotate=pose.rotate + 4 * float(np.sin(j / 20)),
                    shift=(x + 1.5 * float(np.sin(j / 13)), y),
                )
                mouth = Mouth(*mouths[j])
                heard = (number, moment)
                rows.append(Row(who, number, now, mouth, heard, bool(shut[j]), new))
        return rows, said


class TalkerSounds(Sounds[Talkers]):
    """What is heard at the rows of ``talkers``: uint8 ``n×1×32×32``, silence is black."""

    def chunks(self, split: str, size: int | None, channels: int | None) -> Iterator[Chunk]:  # noqa: ARG002
        """Yield the sounds in the order of the windows."""
        rows, said = self._talkers.rows(split)
        out = np.zeros((len(rows), 1, BANDS, COLUMNS), np.uint8)
        heard: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            if row.said is not None:
                heard.setdefault(row.said[0], []).append(place)
        for number, places in heard.items():
            moments = np.array([rows[place].said[1] for place in places])
            out[places] = sound_pictures(said[number].samples, said[number].rate, moments)
        yield Chunk(out)


def _sentence(rng: np.random.Generator, split: str, voice: str) -> Utterance:
    """A sentence of the split's own words, at some speed and pitch."""
    nouns, adjectives, verbs = WORDS[split].values()
    a, b, c, d = (str(rng.choice(nouns)) for _ in range(4))
    one, two = (str(rng.choice(adjectives)) for _ in range(2))
    do, done = (str(rng.choice(verbs)) for _ in range(2))
    text = f"the {one} {a} {do} my {two} {b} and the {c} {done} a {d}."
    return Utterance(text, voice, int(rng.integers(125, 185)), int(rng.integers(25, 80)))


def _moved(pose: Pose, rng: np.random.Generator) -> Pose:
    """A little later."""
    x, y = pose.shift
    return replace(
        pose, rotate=pose.rotate + rng.uniform(-4, 4), shift=(x + rng.uniform(-1.5, 1.5), y)
    )


def _columns(row: Row, picture: int) -> list[int]:
    state = QUIET if row.said is None else SPEAKING
    lips = (row.mouth.opening, row.mouth.width, row.mouth.teeth)
    thousandths = [round(THOUSAND * x) for x in lips]
    return [row.number, picture, state, *thousandths, int(row.shut), int(row.new_voice)]


def _draw_many(region: Region, width: int, rows: Sequence[Row]) -> np.ndarray:
    side, windows = round(PICTURE * width), []
    for row in rows:
        face = Person(row.person).draw(row.pose, side, mouth=row.mouth)
        placement = Placement.of(region, *row.pose.eyes(side))
        windows.append(cut(face, placement, region.shape(width)))
    return np.stack(windows)
