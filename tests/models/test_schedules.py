import math

import pytest
import torch

from ganforge.models.schedules import constant, constant_then_linear, cosine


def rates(make, steps, rate=2.0):
    """The rate of each update."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    schedule, found = make(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_linear_by_hand():
    found = rates(lambda o: constant_then_linear(o, 8, decay_from=0.5), 10)
    assert found == pytest.approx([2, 2, 2, 2, 2, 1.5, 1, 0.5, 0, 0])
    found = rates(lambda o: constant_then_linear(o, 4, decay_from=0.0), 5)
    assert found == pytest.approx([2, 1.5, 1, 0.5, 0])


def test_cosine_by_hand():
    root = math.sqrt(0.5)
    found = rates(lambda o: cosine(o, 4), 6)
    assert found == pytest.approx([2, 1 + root, 1, 1 - root, 0, 0])
    found = rates(lambda o: cosine(o, 2, floor=0.5), 4)
    assert found == pytest.approx([2, 1.5, 1, 1])


def test_warm_up_by_hand():
    assert rates(lambda o: constant(o), 3) == [2, 2, 2]
    assert rates(lambda o: constant(o, warm_up_steps=4), 6) == pytest.approx([0.5, 1, 1.5, 2, 2, 2])


def test_warm_up_multiplies_another_schedule():
    found = rates(lambda o: constant_then_linear(o, 4, 0.0, warm_up_steps=2), 5)
    assert found == pytest.approx([1, 1.5, 1, 0.5, 0])
    assert rates(lambda o: cosine(o, 2, warm_up_steps=2), 2) == pytest.approx([1, 1])


@pytest.mark.parametrize(
    "make",
    [
        lambda o: constant_then_linear(o, 0),
        lambda o: constant_then_linear(o, 5, decay_from=1.5),
        lambda o: cosine(o, 0),
        lambda o: cosine(o, 5, floor=-1),
        lambda o: constant(o, warm_up_steps=-1),
    ],
)
def test_impossible_schedules_are_refused(make):
    with pytest.raises(ValueError, match="schedule"):
        rates(make, 1)
