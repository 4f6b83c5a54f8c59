from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile

from ganforge.data.faces import Landmarks
from ganforge.data.film import open_film, read_sound, refuse_silence
from ganforge.data.people import Mouth, Person, random_pose
from ganforge.data.sound import RATE
from ganforge.models.region import Change
from ganforge.retouch.film import SAID, film_writer
from ganforge.retouch.talk import Talker
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.regions import Region

pytestmark = pytest.mark.skipif(find_spec("imageio_ffmpeg") is None, reason="no ffmpeg")
REGION = Region([[0.139, -0.125], [0.861, -0.125]], [[0.5, 0.5, 0.48, 0.36]], 0.2)
FRAMES, FPS, SIDE = 12, 25, 128


class Echo(torch.nn.Module):
    """A model whose mouths are as bright as what is heard."""

    def __init__(self):
        super().__init__()
        self.region, self.size, self.device, self.seen = REGION, 32, torch.device("cpu"), []

    def change(self, images, exemplar, sound=None):
        self.seen.append((images, exemplar, sound))
        level = sound.mean() * torch.ones_like(images)
        return Change(torch.zeros_like(images[:, :1]), level)


def tone(seconds, loud=0.5):
    t = np.arange(round(seconds * RATE)) / RATE
    return (loud * np.sin(2 * np.pi * 300 * t)).astype(np.float32)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A lossless film of somebody who opens the mouth, with a sound that is quiet in frame 4."""
    root = tmp_path_factory.mktemp("scene")
    who, pose = Person("3"), random_pose(np.random.default_rng(1))
    frames = [
        np.asarray(who.draw(pose, SIDE, mouth=Mouth(i / FRAMES, 0, 0))) for i in range(FRAMES)
    ]
    samples = tone(FRAMES / FPS)
    step = RATE // FPS
    samples[4 * step : 5 * step] = 0
    with film_writer(root / "a.mkv", (SIDE, SIDE), FPS, samples, True, False) as writer:
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    Image.fromarray(frames[0]).save(root / "a.png")
    eyes = ",".join(f"{x:.2f}" for point in pose.eyes(SIDE) for x in point)
    rows = [f"{name},{eyes}" for name in ("a.mkv", "a.png")]
    (root / "eyes.csv").write_text("\n".join(["file,left_x,left_y,right_x,right_y", *rows]))
    return root, frames


def talker(scene, **options):
    return Talker(Echo(), Landmarks(scene[0] / "eyes.csv"), **options)


def decoded(path):
    return [np.asarray(frame) for frame in open_film(path).frames()]


def test_a_lossless_film_comes_back_as_it_was_written(scene):
    root, frames = scene
    film = open_film(root / "a.mkv")
    assert (film.size, film.fps) == ((SIDE, SIDE), FPS)
    assert all((a == b).all() for a, b in zip(decoded(root / "a.mkv"), frames, strict=True))
    assert len(read_sound(root / "a.mkv")) == pytest.approx(FRAMES / FPS * RATE, abs=2)


def test_every_frame_has_its_sound_and_the_rest_is_the_films(scene, tmp_path):
    root, frames = scene
    samples = tone(FRAMES / FPS)
    samples[len(samples) // 2 :] = 0  # the second half says nothing
    speaker = talker(scene, lossless=True)
    path = speaker.speak(root / "a.mkv", samples, None, tmp_path)
    made = decoded(path)
    assert path == tmp_path / "a.mkv"
    assert len(made) == FRAMES
    changed = np.stack([(a != b).any(2) for a, b in zip(made, frames, strict=True)])
    rows, columns = np.nonzero(changed.any(0))
    assert 0.03 < changed.mean() < 0.4
    assert rows.min() > SIDE * 0.4
    assert columns.max() - columns.min() < SIDE * 0.6
    levels = [frame[rows[len(rows) // 2], columns[len(columns) // 2]].mean() for frame in made]
    assert min(levels[:4]) > max(levels[-3:]) + 10
    assert len(read_sound(path)) == pytest.approx(len(samples), abs=2)
    # Frame 4 is the quietest: its mouth is the exemplar of all.
    exemplars = [exemplar for _, exemplar, _ in speaker.model.seen]
    inputs = [images for images, _, _ in speaker.model.seen]
    assert all(torch.equal(each, inputs[4]) for each in exemplars)


def test_a_photo_becomes_a_film_that_says_what_it_is(scene, tmp_path):
    root, _ = scene
    for mark in (True, False):
        path = talker(scene, mark=mark).speak(root / "a.png", tone(0.4), None, tmp_path)
        assert path.name == "a.mp4"
        assert (SAID.encode() in path.read_bytes()) == mark
        assert len(decoded(path)) == 10
        assert len(read_sound(path)) == pytest.approx(0.4 * RATE, abs=2048)  # of AAC's packets


def test_other_rates_are_resampled(tmp_path):
    t = np.arange(44_100) / 44_100
    wave = (8000 * np.sin(2 * np.pi * 300 * t)).astype(np.int16)
    wavfile.write(tmp_path / "a.wav", 44_100, np.stack([wave, wave], 1))
    samples = read_sound(tmp_path / "a.wav")
    assert len(samples) == pytest.approx(RATE, abs=2)
    peak = np.abs(np.fft.rfft(samples)).argmax()
    assert peak == pytest.approx(300, abs=1)


def test_what_cannot_be_said_is_told(scene, tmp_path):
    root, _ = scene
    with pytest.raises(UserError, match=r"lasts 1.00 seconds, .* lasts\s+0.48"):
        talker(scene).speak(root / "a.mkv", tone(1.0), None, tmp_path)
    with pytest.raises(UserError, match="is silent"):
        talker(scene).speak(root / "a.png", 0 * tone(0.4), None, tmp_path)
    with pytest.raises(UserError, match="is silent"):
        refuse_silence(tone(0), "x")
    with pytest.raises(UserError, match="no sound track"):
        read_sound(root / "a.png")
    with pytest.raises(UserError, match="is no file"):
        read_sound(root / "none.wav")
    (tmp_path / "b.mp4").write_bytes(b"nothing")
    with pytest.raises(DamagedFileError, match="cannot be read as a film"):
        open_film(tmp_path / "b.mp4")
    assert not list(tmp_path.glob("a.*"))
