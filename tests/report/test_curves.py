import math

import pytest

from ganforge.report.curves import HEIGHT, MOST_POINTS, WIDTH, Panel, drawings


def records(values, name="generator/adversarial"):
    return [{"step": 10 * i, name: value} for i, value in enumerate(values)]


def test_points_lie_where_their_values_are():
    panel = Panel("beliefs", "", {"p": "p"}, limits=(0, 1), level=0.5)
    (drawing,) = drawings(records([0.0, 0.25, 1.0], "p"), [panel], [(10, 1)])
    assert drawing.curves[0].path == f"0.0,{HEIGHT} {WIDTH / 2},{0.75 * HEIGHT} {WIDTH},0.0"
    assert drawing.level == HEIGHT / 2
    assert drawing.marks == [(WIDTH / 2, 1)]
    assert drawing.x_ticks[-1] == (WIDTH, "20")


def test_orders_of_magnitude_are_drawn_on_a_logarithm():
    panel = Panel("fid", "", {"f": "f"}, log=True)
    (drawing,) = drawings(records([100.0, 10.0, 1.0], "f"), [panel])
    heights = [float(point.split(",")[1]) for point in drawing.curves[0].path.split()]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.2)
    assert {"1", "10", "100"} <= {text for _, text in drawing.ticks}


def test_both_sides_of_a_translator_are_shown_and_what_is_not_there_is_not():
    both = [{"step": 1, "l_a": 1.0, "l_b": math.nan}, {"step": 2, "l_a": 2.0, "l_b": 3.0}]
    panels = [Panel("losses", "", {"l": "critic"}), Panel("none", "", {"m": "m"})]
    (drawing,) = drawings(both, panels)
    assert [(c.label, c.dashed, c.values) for c in drawing.curves] == [
        ("critic · a", False, [1.0, 2.0]),
        ("critic · b", True, [3.0]),
    ]
    assert drawings([], panels) == []


def test_long_trainings_are_thinned_to_means_and_keep_their_end():
    values = [float(i) for i in range(10 * MOST_POINTS)]
    (drawing,) = drawings(records(values, "x"), [Panel("x", "", {"x": "x"})])
    curve = drawing.curves[0]
    assert len(curve.values) == MOST_POINTS + 1
    assert (curve.values[0], curve.values[-1]) == (4.5, values[-1])


def test_a_curve_that_never_moves_has_a_scale():
    (drawing,) = drawings(records([0.0, 0.0]), [Panel("x", "", {"generator/adversarial": "g"})])
    assert all(0 <= float(p.split(",")[1]) <= HEIGHT for p in drawing.curves[0].path.split())
