"""Intervals hold the truth as often as they say; the full simulation is benchmarks/intervals.py."""

from dataclasses import replace

import pytest
from benchmarks.intervals import WORLDS, coverage

SMALL = [replace(world, dim=8, n_fake=200, n_real=600) for world in (WORLDS[1], WORLDS[-1])]


@pytest.mark.parametrize("world", SMALL, ids=lambda world: world.name)
def test_intervals_hold_the_truth_about_as_often_as_they_say(world):
    """Fifty samples tell 95 % from 82 or less, and a spread from one half as large again."""
    for metric, spread, said, held in coverage(world, 50):
        assert held >= 0.83, metric
        assert 0.75 < said / spread < 1.45, metric


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_95_is_90_to_98(world):
    for metric, _, _, held in coverage(world, 400):
        assert 0.90 <= held <= 0.985, metric
