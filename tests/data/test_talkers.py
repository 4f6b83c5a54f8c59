from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from ganforge.data.lips import CLASSES, SHAPES, follow, shape_of
from ganforge.data.regions import QUIET, SPEAKING, RegionDataModule
from ganforge.data.sound import RATE, frame_times, resampled, sound_pictures
from ganforge.data.speech import Utterance, speak, speak_alike
from ganforge.data.talkers import VOICES, WORDS, Talkers, TalkerSounds
from ganforge.utils.errors import UserError
from ganforge.utils.regions import Region

speech = pytest.mark.skipif(
    find_spec("espeakng_loader") is None, reason="eSpeak NG is not installed"
)
REGION = Region([[0.139, -0.125], [0.861, -0.125]], [[0.5, 0.5, 0.48, 0.36]], 0.2)


# Sound


def test_frames_are_heard_at_their_middle():
    assert_close(frame_times(3, 25.0), np.array([0.02, 0.06, 0.10]))


def test_a_tone_is_a_line_at_its_band_and_time():
    """1 kHz from second 1 on: silence before, one bright band after, at the column of its onset."""
    t = np.arange(2 * RATE) / RATE
    wave = np.where(t >= 1, 0.5 * np.sin(2 * np.pi * 1000 * t), 0.0)
    early, onset, late = sound_pictures(wave, RATE, np.array([0.5, 1.0, 1.5]))[:, 0]
    assert early.max() <= 1
    band = late.astype(int).sum(1).argmax()
    mels = np.linspace(*(2595 * np.log10(1 + f / 700) for f in (60, 7600)), 34)[1:-1]
    assert abs(mels[band] - 2595 * np.log10(1 + 1000 / 700)) < mels[1] - mels[0]
    assert late[band].min() > 150
    bright = onset[band] > 100
    assert not bright[:13].any()
    assert bright[19:].all()


def test_other_sampling_rates_and_two_channels_sound_the_same():
    t = np.arange(44_100) / 44_100
    wave = 0.3 * np.sin(2 * np.pi * 440 * t)
    here = sound_pictures(wave, 44_100, np.array([0.5]))
    low = np.arange(16_000) / 16_000
    same = sound_pictures(0.3 * np.sin(2 * np.pi * 440 * low), 16_000, np.array([0.5]))
    assert np.abs(here.astype(int) - same).mean() < 2
    stereo = sound_pictures(np.stack([wave, wave], 1), 44_100, np.array([0.5]))
    assert_close(stereo, here)
    assert len(resampled(wave, 44_100)) == 16_000


def test_beyond_the_sound_there_is_silence():
    assert sound_pictures(np.zeros(100), RATE, np.array([-5.0, 0.0, 60.0])).max() == 0


# Lips


@pytest.mark.parametrize(
    ("phoneme", "shape"),
    [("p", "shut"), ("m", "shut"), ("'u:", "u"), ("tS", "sh"), ("t", "t"), ("@2", "other"),
     ("_:", "rest"), ("", "rest"), ("aI", "a"), (",oU", "o")],
)  # fmt: skip
def test_phonemes_have_shapes(phoneme, shape):
    assert shape_of(phoneme) == shape
    assert shape in SHAPES


def test_lips_close_in_p_b_m_and_open_in_a():
    phonemes = [(0.0, "a"), (0.4, "m"), (0.46, "a")]
    moments = np.array([0.2, 0.43, 0.7])
    mouths, shut = follow(phonemes, 0.9, moments)
    assert mouths[:, 0] == pytest.approx([0.95, 0.0, 0.95], abs=0.02)
    assert shut.tolist() == [False, True, False]
    mouths, _ = follow([(0.0, "t"), (0.4, "k"), (0.46, "t")], 0.9, moments)
    assert mouths[1, 0] > 0.15  # another consonant as short does not close them


def test_classes_are_mouths_that_differ():
    mouths = torch.tensor([(m.opening, m.width, m.teeth) for m in CLASSES.values()])
    assert torch.pdist(mouths).min() > 0.3


# Speech


@speech
def test_speech_comes_with_the_times_of_its_phonemes():
    said = speak("mama", "en-us")
    assert 0.2 < said.seconds < 2
    assert np.abs(said.samples).max() <= 1
    times = [time for time, _ in said.phonemes]
    assert times == sorted(times)
    assert times[-1] <= said.seconds
    names = [name for _, name in said.phonemes]
    assert names.count("m") == 2
    twice = [speak_alike([Utterance("mama", "en-us", 160, 50)] * 2) for _ in range(2)]
    for ours, theirs in zip(*twice, strict=True):
        assert_close(ours.samples, theirs.samples)


@speech
def test_every_voice_speaks_and_unknown_ones_are_named():
    lengths = {len(speak("hello", voice).samples) for voice in VOICES}
    assert len(VOICES) == 22
    assert len(lengths) > 1
    with pytest.raises(UserError, match="no voice nobody"):
        speak("hello", "nobody")
    with pytest.raises(UserError, match="nothing to say"):
        speak("", "en-us")


def test_no_word_is_in_both_splits():
    train, test = ({w for kind in WORDS[s].values() for w in kind} for s in ("train", "test"))
    assert not train & test


# Talkers


def talkers(**options):
    options = {"train_count": 3, "test_count": 3, "frames": 2, "sentences": 2, **options}
    return Talkers(REGION, workers=1, **options)


@speech
def test_rows_are_a_quiet_window_and_speaking_ones():
    source = talkers()
    (chunk,) = source.chunks("train", 32, 3)
    assert chunk.images.shape == (9, 3, 32, 32)
    person, picture, state, opening, *_ = chunk.attributes.T
    assert person.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert picture.tolist() == list(range(9))
    assert state.tolist() == [QUIET, SPEAKING, SPEAKING] * 3
    assert (opening[::3] == 0).all()
    (sounds,) = TalkerSounds(source).chunks("train", 32, 1)
    assert sounds.images.shape == (9, 1, 32, 32)
    assert (sounds.images[::3] == 0).all()
    assert sounds.images[1::3].max() > 100
    (again,) = talkers().chunks("train", 32, 3)
    assert_close(again.images, chunk.images)


@speech
def test_test_videos_are_whole_sentences_the_last_third_in_a_new_voice():
    source = talkers()
    rows, said = source.rows("test")
    assert len(said) == 3
    assert [sum(row.number == n for row in rows) for n in range(3)] == [
        1 + int(one.seconds * 25) for one in said
    ]
    moments = [row.said[1] for row in rows if row.said is not None and row.number == 1]
    assert np.diff(moments) == pytest.approx(0.04)
    assert {row.number for row in rows if row.new_voice} == {2}
    assert {row.person for row in rows}.isdisjoint({row.person for row in source.rows("train")[0]})


@speech
def test_batches_hold_the_sound_of_their_truth(tmp_path):
    source = talkers(frames=4)
    data = RegionDataModule(
        "mouths", source, REGION, (3, 32, 32), 32, 3, tmp_path, 4, sound=TalkerSounds(source)
    )
    windows = data.split("train")
    for batch in data.train_dataloader():
        assert batch["sound"].shape == (4, 1, 32, 32)
        for truth, sound, exemplar in zip(
            batch["truth"], batch["sound"], batch["exemplar"], strict=True
        ):
            (row,) = torch.nonzero((windows.images == truth).flatten(1).all(1)).flatten().tolist()
            assert_close(sound, windows.sounds[row])
            (quiet,) = torch.nonzero((windows.images == exemplar).flatten(1).all(1)).flatten()
            assert windows.attributes[quiet, 2] == QUIET
            assert windows.person[quiet] == windows.person[row]
        out = data.on_after_batch_transfer(batch, 0)
        assert out["sound"].dtype == torch.float32
    cases = data.split("test").cases(5)
    assert cases["sound"].shape == (5, 1, 32, 32)
