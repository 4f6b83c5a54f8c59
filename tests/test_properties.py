"""What must hold for whatever comes: decoding, conversion, counters, pool, sampler."""

import copy
import io
from itertools import chain, islice, repeat
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ganforge.callbacks.periodic import Periodic
from ganforge.data.decode import BROKEN, Decoder, reason
from ganforge.data.loader import BatchLoader
from ganforge.data.store import Images
from ganforge.data.translation import PairLoader
from ganforge.models.base import AdversarialModule
from ganforge.models.image_pool import ImagePool
from ganforge.utils.images import to_float, to_uint8
from tiny import shown_by

KINDS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "PPM", "TGA", "WEBP", "ICO")
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16")
usual = settings(max_examples=80, deadline=None, derandomize=True)
decoders = st.builds(
    Decoder,
    st.integers(1, 24),
    st.sampled_from([1, 3]),
    st.sampled_from(["crop", "resize", "pad"]),
)


def encoded(kind: str, side: int, seed: int) -> bytes:
    levels = np.random.default_rng(seed).integers(256, size=(side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, kind)
    return file.getvalue()


# Decoding


@usual
@given(st.binary(max_size=400), decoders)
def test_any_bytes_are_an_image_or_a_known_error(data: bytes, decoder: Decoder) -> None:
    decode_or_refuse(data, decoder)


@usual
@given(
    st.sampled_from(KINDS),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    st.integers(0, 10**6),
    decoders,
)
def test_damage_anywhere_is_an_image_or_a_known_error(
    kind: str, changes: list[tuple[int, int]], cut: int, decoder: Decoder
) -> None:
    data = bytearray(encoded(kind, 17, 0))
    for at, value in changes:
        data[at % len(data)] = value
    decode_or_refuse(bytes(data[: cut % (len(data) + 1)]), decoder)


def decode_or_refuse(data: bytes, decoder: Decoder) -> None:
    said, found = "", None
    try:
        found = decoder.decode(data)
    except BROKEN as error:
        said = reason(error)
    if found is None:
        assert said
        assert "\n" not in said
    else:
        assert found.shape == (decoder.channels, decoder.size, decoder.size)
        assert found.dtype == np.uint8


@usual
@given(st.sampled_from(MODES), st.integers(1, 60), st.integers(1, 60), decoders)
def test_every_mode_and_shape_comes_out_square(
    mode: str, width: int, height: int, decoder: Decoder
) -> None:
    found = decoder.convert(Image.new(mode, (width, height)))
    assert found.shape == (decoder.channels, decoder.size, decoder.size)


@usual
@given(st.integers(0, 255), st.integers(1, 60), st.integers(1, 60), decoders)
def test_an_image_of_one_level_keeps_it(
    level: int, width: int, height: int, decoder: Decoder
) -> None:
    found = decoder.convert(Image.new("L", (width, height), level))
    levels = set(np.unique(found).tolist())
    assert levels <= {level, *([decoder.fill] if decoder.fit == "pad" else [])}
    assert level in levels


# Conversion


@usual
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_floats_are_clamped_and_rounded(values: list[float]) -> None:
    found = to_uint8(torch.tensor(values))
    exact = (np.clip(np.array(values, np.float64), -1, 1) + 1) * 127.5
    assert np.abs(found.numpy() - exact).max() <= 0.5 + 1e-4


def test_every_level_survives_the_way_to_float_and_back() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_float(levels)), levels)


# Counters


@usual
@given(st.lists(st.integers(1, 500), max_size=20), st.integers(1, 64))
def test_images_are_counted_over_all_processes(batches: list[int], processes: int) -> None:
    module = SimpleNamespace(
        images_seen=0,
        _resumed=None,
        trainer=SimpleNamespace(world_size=processes),
        images_in=len,
        named=lambda batch: batch,
        prepare=lambda batch: None,
        play=lambda batch: None,
        repeat=None,
        lr_schedulers=lambda: None,
    )
    for i, count in enumerate(batches):
        AdversarialModule.training_step(module, range(count), i)
    assert module.images_seen == processes * sum(batches)


class Noting(Periodic):
    """Notes the steps at which it acts."""

    def __init__(self, every: int, at_start: bool) -> None:
        super().__init__(every, at_start)
        self.steps: list[int] = []

    def act(self, trainer: Any, pl_module: Any, step: int) -> None:
        self.steps.append(step)


@usual
@given(st.integers(1, 9), st.integers(1, 40), st.integers(1, 3), st.booleans())
def test_a_period_is_a_number_of_steps_and_the_end_is_no_exception(
    every: int, last: int, batches: int, at_start: bool
) -> None:
    """However many batches a step takes, such as when gradients accumulate."""
    noting, trainer = Noting(every, at_start), SimpleNamespace(global_step=0)
    noting.on_train_start(trainer, None)
    for step in range(1, last + 1):
        for _ in range(batches):
            trainer.global_step = step
            noting.on_train_batch_end(trainer, None, None, None, 0)
    noting.on_train_end(trainer, None)
    expected = {*range(every, last + 1, every), last, *([0] if at_start else [])}
    assert noting.steps == sorted(expected)


# Pool


@usual
@given(st.integers(0, 12), st.lists(st.integers(1, 5), max_size=12), st.integers(0, 2**31))
def test_the_pool_shows_as_many_images_as_it_gets_and_none_it_never_saw(
    size: int, batches: list[int], seed: int
) -> None:
    pool, seen, shown = ImagePool(size, seed), 0, []
    for count in batches:
        images = torch.arange(seen, seen + count).view(-1, 1, 1, 1).float()
        seen += count
        found = shown_by(pool, images)
        assert found.shape == images.shape
        assert len(pool) == min(size, seen)
        assert found.max() < seen
        shown += found.flatten().tolist()
    # An image that went into the pool comes out at most once; those shown at once are first shows.
    kept = set(pool.state_dict()["images"].flatten().tolist())
    assert set(shown) | kept == set(map(float, range(seen)))


@usual
@given(st.integers(0, 8), st.integers(0, 30), st.integers(1, 30))
def test_a_pool_goes_on_from_its_state(size: int, before: int, after: int) -> None:
    one, other = ImagePool(size, 1), ImagePool(size, 2)
    for i in range(before):
        shown_by(one, torch.full((1, 1, 1, 1), float(i)))
    other.load_state_dict(copy.deepcopy(one.state_dict()), "cpu")
    for i in range(before, before + after):
        image = torch.full((1, 1, 1, 1), float(i))
        assert torch.equal(shown_by(one, image), shown_by(other, image))


# Sampler

shapes = st.tuples(st.integers(1, 60), st.integers(1, 8), st.integers(1, 4)).filter(
    lambda s: s[0] >= s[1] * s[2]
)


def images(count: int) -> Images:
    return Images(torch.arange(count).view(-1, 1, 1, 1).byte(), None, None, "")


def loader(shape: tuple[int, int, int], seed: int, rank: int = 0, flip: bool = True) -> BatchLoader:
    count, batch, processes = shape
    return BatchLoader(
        images(count), batch, seed=seed, rank=rank, world_size=processes, flip=flip
    )  # fmt: skip


@usual
@given(shapes, st.integers(0, 2**31))
def test_shards_are_disjoint_and_make_up_the_epoch(shape: tuple[int, int, int], seed: int) -> None:
    count, batch, processes = shape
    ranks = [loader(shape, seed, rank) for rank in range(processes)]
    orders = []
    for _ in range(3):
        drawn = [torch.cat([b["index"] for b in rank]).tolist() for rank in ranks]
        epoch = sorted(chain.from_iterable(drawn))
        # Every row once, but for those that make no whole step: fewer than one step takes.
        assert len(epoch) == len(set(epoch)) == count - count % (batch * processes)
        assert set(epoch) <= set(range(count))
        orders.append(drawn)
    if len(epoch) > 6:
        assert orders[0] != orders[1] != orders[2]


@usual
@given(shapes, st.integers(0, 2**31), st.integers(0, 40), st.integers(0, 3))
def test_a_loader_resumes_at_any_batch(
    shape: tuple[int, int, int], seed: int, at: int, rank: int
) -> None:
    rank %= shape[2]
    one, other = loader(shape, seed, rank), loader(shape, seed, rank)
    batches = endless(one)
    for _ in range(at):
        next(batches)
    other.load_state_dict(one.state_dict())
    for ours, theirs in islice(zip(batches, endless(other), strict=True), 12):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@usual
@given(st.integers(4, 20), st.integers(4, 20), st.integers(1, 4), st.booleans(), st.integers(0, 30))
def test_pairs_resume_at_any_batch(a: int, b: int, batch: int, paired: bool, at: int) -> None:
    def pairs() -> PairLoader:
        sides = []
        for count, seed in ((a, 0), (a if paired else b, 7)):
            rows = torch.arange(count).view(-1, 1, 1, 1).expand(-1, 1, 9, 9).byte()
            data = Images(rows, None, None, "")
            sides.append(BatchLoader(data, batch, seed=seed, flip=True))
        return PairLoader(*sides, 5, paired, 3, 0)

    one, other = pairs(), pairs()
    batches = endless(one)
    for _ in range(at):
        next(batches)
    other.load_state_dict(one.state_dict())
    for ours, theirs in islice(zip(batches, endless(other), strict=True), 12):
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def endless(loader: Any) -> Any:
    """Epoch after epoch, as a trainer draws them."""
    return chain.from_iterable(iter(loader) for _ in repeat(None))
