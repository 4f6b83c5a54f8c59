import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
import torch

from ganforge.metrics.statistics import ImageSet, real_features
from ganforge.utils.errors import UserError


@pytest.fixture
def real(images):
    return ImageSet(lambda: images(100, 1), 100, "hash", "train", seed=5)


def cached(tmp_path):
    return sorted(tmp_path.glob("*"))


def test_a_second_look_reads_the_cache(extractor, real, tmp_path):
    first = real_features(real, extractor, tmp_path)

    def never():
        raise AssertionError("a hit must not load images")

    calls = extractor.calls
    second = real_features(replace(real, load=never), extractor, tmp_path)
    assert extractor.calls == calls
    assert torch.equal(first.features.features, second.features.features)
    assert second.note is None
    assert len(cached(tmp_path)) == 1


@pytest.mark.parametrize(
    "change", [{"data_hash": "other"}, {"split": "test"}, {"seed": 6}, {"count": 50}]
)
def test_each_cause_of_other_features_has_its_own_file(extractor, real, images, tmp_path, change):
    other = replace(real, **change)
    other = replace(other, load=lambda: images(other.count, 2))
    first = real_features(real, extractor, tmp_path)
    second = real_features(other, extractor, tmp_path)
    assert len(cached(tmp_path)) == 2
    assert not torch.equal(first.features.features[:50], second.features.features[:50])


def test_other_weights_have_their_own_file(extractor, real, tmp_path):
    real_features(real, extractor, tmp_path)
    extractor.sha256 = "1" * 64
    real_features(real, extractor, tmp_path)
    assert len(cached(tmp_path)) == 2


def truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


def flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 0xFF
    path.write_bytes(data)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip_a_byte, empty])
def test_a_damaged_file_is_built_anew_and_said_so(extractor, real, tmp_path, caplog, damage):
    first = real_features(real, extractor, tmp_path)
    (path,) = cached(tmp_path)
    whole = path.read_bytes()
    damage(path)
    with caplog.at_level(logging.WARNING):
        again = real_features(real, extractor, tmp_path)
    assert str(path) in caplog.text
    assert "damaged" in again.note
    assert torch.equal(first.features.features, again.features.features)
    assert path.read_bytes() == whole


def test_without_a_folder_nothing_is_kept(extractor, real, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(real_features(real, extractor, None)) == 100
    assert cached(tmp_path) == []


def test_fewer_real_images_than_asked_for_is_an_error(extractor, real, tmp_path):
    with pytest.raises(UserError, match="gave 100 real images where 200"):
        real_features(replace(real, count=200), extractor, tmp_path)
    assert cached(tmp_path) == []


def test_several_at_once_leave_one_whole_file(extractor, real, tmp_path):
    """Each writes under a name of its own and moves it into place."""
    everybody = Barrier(4)

    class Slow(type(extractor)):
        def __call__(self, images):
            everybody.wait(timeout=60)  # nobody has written before all have begun
            return super().__call__(images)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: real_features(real, Slow(), tmp_path), range(4)))
    assert all(torch.equal(one.features.features, found[0].features.features) for one in found)
    assert len(cached(tmp_path)) == 1
    assert real_features(real, extractor, tmp_path).note is None
