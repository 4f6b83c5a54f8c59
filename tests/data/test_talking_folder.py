from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.data.faces import Face
from ganforge.data.regions import QUIET, SPEAKING, RegionDataModule
from ganforge.data.sound import RATE, frame_times, sound_pictures
from ganforge.data.talking_folder import TalkingFolder, TalkingSounds
from ganforge.retouch.film import film_writer
from ganforge.utils.errors import UserError
from ganforge.utils.regions import Region

pytestmark = pytest.mark.skipif(find_spec("imageio_ffmpeg") is None, reason="no ffmpeg")
REGION = Region([[0.139, -0.125], [0.861, -0.125]], [[0.5, 0.5, 0.48, 0.36]], 0.2)
FPS, FRAMES, SIDE = 25, 10, 64


class Still:
    """Finds eyes in one place, of pictures that are not black."""

    def __call__(self, name, image):
        face = Face((20.0, 20.0), (44.0, 20.0))
        return [face] if np.asarray(image).max() > 30 else []

    def near(self, image, face):
        return next(iter(self("", image)), None)

    def key(self):
        return {"still": 1}


def film(path, level, quiet, sound=0.5):
    """Frames brighten one by one; one of them is quiet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(FRAMES * RATE // FPS) / RATE
    samples = (sound * np.sin(2 * np.pi * 400 * t)).astype(np.float32)
    samples[quiet * RATE // FPS : (quiet + 1) * RATE // FPS] = 0
    with film_writer(path, (SIDE, SIDE), FPS, samples, True, False) as writer:
        for i in range(FRAMES):
            writer.send(np.full((SIDE, SIDE, 3), level + i if level else 0, np.uint8))
    return samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("films")
    for number, who in enumerate(("ann", "bob", "cid", "dan")):
        film(root / f"{who}_1.mkv", 50 * (number + 1), quiet=number + 2)
    film(root / "ann_2.mkv", 0, 3)  # black: no face
    film(root / "bob_2.mkv", 90, 3, sound=0)  # silent
    return root


def source(folder, **options):
    return TalkingFolder(folder, REGION, Still(), frames=FRAMES, **options)


def test_the_quietest_frame_is_the_exemplar_and_sounds_lie_beside_windows(folder, tmp_path):
    talkers = source(folder)
    sounds = {s: list(TalkingSounds(talkers, 16).chunks(s, 32, 1)) for s in ("train", "test")}
    for split in ("train", "test"):
        chunks = list(talkers.chunks(split, 16, 3))
        attributes = np.concatenate([chunk.attributes for chunk in chunks])
        assert attributes[:, 0].tolist() == [0] * FRAMES + [1] * FRAMES
        assert attributes[:, 1].tolist() == list(range(2 * FRAMES))
        for chunk, heard in zip(chunks, sounds[split], strict=True):
            level = chunk.images[:, 0, 8, 8].astype(int)
            number = round(level[0] / 50) - 1
            assert level.tolist() == [50 * (number + 1) + i for i in range(FRAMES)]
            (quiet,) = np.flatnonzero(chunk.attributes[:, 2] == QUIET)
            assert quiet == number + 2
            assert (np.delete(chunk.attributes[:, 2], quiet) == SPEAKING).all()
            t = np.arange(FRAMES * RATE // FPS) / RATE
            samples = 0.5 * np.sin(2 * np.pi * 400 * t)
            samples[quiet * RATE // FPS : (quiet + 1) * RATE // FPS] = 0
            expected = sound_pictures(samples, RATE, frame_times(FRAMES, FPS))
            assert np.abs(expected.astype(int) - heard.images).mean() < 3
    assert sorted(talkers.names().skipped)[0].startswith("ann_2.mkv (no face")
    assert len(talkers.names().skipped) == 2


def test_films_become_batches(folder, tmp_path):
    talkers = source(folder)
    data = RegionDataModule(
        "films", talkers, REGION, (3, 16, 16), 16, 3, tmp_path, 4, sound=TalkingSounds(talkers, 16)
    )
    batch = next(iter(data.train_dataloader()))
    assert batch["sound"].shape == (4, 1, 32, 32)
    truth, exemplar = (batch[side].float().mean((1, 2, 3)) for side in ("truth", "exemplar"))
    assert (truth != exemplar).all()
    assert torch.equal(batch["input"], batch["truth"])


def test_too_few_people_or_films_are_named(folder, tmp_path):
    with pytest.raises(UserError, match="films of 4 people"):
        list(source(folder, test_count=3).chunks("train", 16, 3))
    with pytest.raises(UserError, match="no folder of films"):
        source(tmp_path / "none").key()
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="films of 0 people"):
        list(source(tmp_path).chunks("train", 16, 3))
