import ast
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from ganforge.utils.errors import UserError
from ganforge.utils.seeds import number, numpy_rng, picture_rng, seed_globals, sequence, torch_rng

PACKAGE = Path(__file__).parents[2] / "src" / "ganforge"
SEEDING = {"manual_seed", "default_rng", "RandomState", "seed_everything"}
# What has a seed of its own kind: data sets and real images, which caches name by it; metrics, some
# of which draw as another library does; a check that always draws the same.
APART = (
    "metrics/", "data/avatars.py", "data/drawn_eyes.py", "data/people.py", "data/people_folder.py",
    "data/talkers.py", "data/talking_folder.py", "data/toys.py", "data/store.py",
    "scoring/files.py", "sharing/export.py", "commands/train_eyes.py", "utils/seeds.py",
)  # fmt: skip


def test_by_numpy():
    """The construction: the seed is entropy, (rank, CRC-32 of the purpose, place…) the key."""
    key = (2, 0xFDA99629, 7)
    expected = np.random.SeedSequence(5, spawn_key=key)
    assert sequence(5, 2, "noise", 7).spawn_key == key
    assert number(5, 2, "noise", 7) == expected.generate_state(1)[0]
    assert numpy_rng(5, 2, "noise", 7).random() == np.random.default_rng(expected).random()
    drawn = torch.randn(3, generator=torch_rng(5, 2, "noise", 7))
    again = torch.Generator().manual_seed(int(expected.generate_state(1)[0]))
    assert torch.equal(drawn, torch.randn(3, generator=again))


def test_streams_never_meet():
    """Neighbouring seeds, ranks, places and depths of place: not one number twice."""
    purposes = ("weights", "training", "noise", "pool a", "pool b", "order", "flips", "scores")
    places = ((), (0,), (1,), (0, 0), (0, 1), (1, 0))
    streams = list(itertools.product(range(6), range(4), purposes, places))
    numbers = {number(seed, rank, what, *place) for seed, rank, what, place in streams}
    assert len(numbers) == len(streams)
    assert numbers.isdisjoint(range(100))  # pictures have the bare seeds


def test_globals():
    seed_globals(3, 1, "training")
    first = (torch.rand(()).item(), np.random.rand())
    seed_globals(4, 0, "training")
    assert (torch.rand(()).item(), np.random.rand()) != first
    seed_globals(3, 1, "training")
    assert (torch.rand(()).item(), np.random.rand()) == first


def test_a_seed_names_its_picture():
    drawn = torch.randn(4, generator=picture_rng(7))
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.randn(4))


def test_seeds_below_zero_are_refused():
    with pytest.raises(UserError, match="seed=-1 must be a whole number from 0 on"):
        torch_rng(-1, 0, "noise")


def _seeds_by_hand(call):
    """Whether a call begins a stream at a number that this page did not give."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name not in SEEDING:
        return False
    given = call.args[0] if call.args else None
    by_us = isinstance(given, ast.Call) and getattr(given.func, "id", "") == "number"
    return not by_us


def test_streams_begin_in_one_place():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE).as_posix()
        calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
        if not place.startswith(APART) and any(map(_seeds_by_hand, calls)):
            found.add(place)
    assert found == {"models/image_pool.py"}, "use ganforge.utils.seeds"  # the pool's is given
