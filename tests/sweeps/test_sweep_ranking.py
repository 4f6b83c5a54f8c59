import math
import statistics
from dataclasses import replace

import pytest
from PIL import Image

from ganforge.sweeps.figure import axis, draw, numeric_axis
from ganforge.sweeps.manifest import Job
from ganforge.sweeps.process import Record
from ganforge.sweeps.ranking import boards, rank, short_names, varied


def job(number, value, **settings):
    overrides = tuple(f"{key}={setting}" for key, setting in settings.items())
    state = "failed" if value is None else "done"
    return Job(number, overrides, Record(state, "fid", value))


JOBS = [
    job(0, 5.0, loss="hinge", size=32, seed=1),
    job(1, 7.0, loss="hinge", size=32, seed=2),
    job(2, 3.0, loss="minimax", size=32, seed=1),
    job(3, None, loss="minimax", size=32, seed=2),
    job(4, None, loss="wasserstein", size=32, seed=1),
]


def test_mean_and_spread_over_seeds():
    assert varied(JOBS) == ["loss"]
    places = rank(JOBS, ["loss"])
    assert [place.settings for place in places] == [("minimax",), ("hinge",), ("wasserstein",)]
    assert [place.mean for place in places] == [3.0, 6.0, math.inf]
    assert places[1].spread == pytest.approx(statistics.stdev([5, 7]))
    assert places[0].spread is None
    assert places[1].best.number == 0
    assert places[2].best is None


def measured(number, value, objective, protocol, **settings):
    plain = job(number, value, **settings)
    return replace(plain, record=Record("done", objective, value, protocol=protocol))


def test_unlike_measurements_are_ranked_apart():
    a, b = {"data_hash": "aa", "n_real": 8}, {"data_hash": "bb", "n_real": 8}
    jobs = [
        measured(0, 5.0, "fid8", a, data="a", seed=1),
        measured(1, 1.0, "fid8", b, data="b", seed=1),
        job(2, 3.0, data="c", seed=1),
        replace(job(3, None, data="b", seed=2), record=Record("failed")),
        replace(job(4, None, data="d", seed=1), record=Record("failed")),
        measured(5, None, "fid8", a, data="a", seed=2),
        measured(6, 4.0, "w1", a, data="a", seed=3),
    ]
    found = boards(jobs, ["data"])
    assert [[j.number for j in board.jobs] for board in found] == [[0, 5], [1, 3], [2], [6]]
    assert found[0].differences(found[1]) == ["data_hash"]
    assert found[0].differences(found[3]) == []
    assert [board.objective for board in found] == ["fid8", "fid8", "fid", "w1"]


def test_jobs_of_one_measure_share_one_table_with_those_that_failed():
    jobs = [*JOBS, replace(job(5, None, loss="other"), record=Record("failed"))]
    (board,) = boards(jobs, ["loss"])
    assert sorted(j.number for j in board.jobs) == [0, 1, 2, 3, 4, 5]
    (empty,) = boards([jobs[-1]], [])
    assert (empty.objective, len(empty.jobs)) == ("score", 1)


def test_seeds_alone_are_one_place():
    jobs = [job(i, float(i), seed=i) for i in range(3)]
    (place,) = rank(jobs, varied(jobs))
    assert (place.mean, place.spread) == (1.0, 1.0)


def test_hydras_own_keys_are_no_settings():
    assert Job(0, ("+a.b=1", "hydra.launcher.jobs=2")).settings == {"a.b": "1"}


def test_names_are_as_short_as_they_can_be_told_apart():
    keys = [
        "model.optimizer_g.lr",
        "model.optimizer_d.lr",
        "loss",
        "callbacks.ema.half_life",
        "a.loss",
    ]
    short = ["optimizer_g.lr", "optimizer_d.lr", "loss", "half_life", "a.loss"]
    assert short_names(keys) == short


def test_axes_of_names_and_of_numbers():
    names = axis("loss", ["b", "a", "b"])
    assert names.heights == [1.0, 0.0, 1.0]
    numbers = axis("lr", ["1e-5", "1e-4", "1e-3", "1e-2", "1e-1"])
    assert numbers.heights == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert numbers.name == "lr (log)"
    linear = axis("x", ["1", "2", "3", "4", "5"])
    assert linear.heights == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert linear.name == "x"


def test_an_axis_reaches_as_far_as_its_values_spread_and_has_three_ticks():
    spread = numeric_axis("fid", [2.0, 4.0], lowest_first=False, spreads=[1.0, None])
    assert spread.ticks == [(1.0, "1"), (0.5, "2.5"), (0.0, "4")]
    assert spread.heights == pytest.approx([2 / 3, 0])
    assert spread.bars == [(1.0, pytest.approx(1 / 3)), None]
    # No logarithm of what spreads below 0.
    assert numeric_axis("fid", [1.0, 90.0], spreads=[2.0, None]).name == "fid"


def test_the_best_line_is_drawn_to_the_top(tmp_path):
    path = tmp_path / "parallel.png"
    draw(rank(JOBS, ["loss"]), ["loss"], "fid", path)
    picture = Image.open(path).convert("RGB")
    assert picture.width > 600
    # viridis at 0, the best one's colour, reaches the upper end of the last axis
    dark = [
        (x, y)
        for x in range(picture.width)
        for y in range(picture.height)
        if picture.getpixel((x, y)) == (84, 27, 104) or picture.getpixel((x, y))[:2] == (68, 1)
    ]
    assert dark
    rightmost = max(dark)
    assert rightmost[1] < picture.height * 0.2
