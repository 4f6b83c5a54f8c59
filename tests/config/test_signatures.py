from collections.abc import Callable
from enum import Enum

import pytest
from torch import nn

from ganforge.config.signatures import fits


class Mode(Enum):
    FAST = "fast"


@pytest.mark.parametrize(
    ("value", "hint", "taken"),
    [
        (3, int, True), (3.5, int, False), (3, float, True), (True, int, False),
        (None, int | None, True), ([1, 2], tuple[int, int], True), ([1], tuple[int, int], False),
        (7, nn.Module, False), ("x", Callable[[int], int], False), ({}, nn.Module, True),
        ("fast", Mode, True),  # a class that is no part of ours makes of a word what it likes
    ],
)  # fmt: skip
def test_what_fits_an_annotation(value, hint, taken):
    assert fits(value, hint) == taken


def test_a_parameter_without_annotation_takes_anything():
    def own(folder, count=1):
        """A class of the user's own may say nothing of its arguments."""

    import inspect

    for parameter in inspect.signature(own).parameters.values():
        assert fits("here", parameter.annotation)
        assert fits(3, parameter.annotation)
