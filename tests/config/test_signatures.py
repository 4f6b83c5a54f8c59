from collections.abc import Callable
from enum import Enum

import pytest
from omegaconf import OmegaConf
from torch import nn

from ganforge.config.checks import check_settings
from ganforge.config.signatures import fits
from ganforge.utils.errors import UserError


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


def test_a_class_of_the_users_own_names_its_settings_freely():
    own = {"_target_": "mine.Walk", "p": 2, "steps": {"p": 2, "k": "all", "inner": {"share": -1}}}
    check_settings(OmegaConf.create({"tool": own}))
    ours = {"_target_": "ganforge.augment.ada.ADA", "p": 2}
    with pytest.raises(UserError, match=r"p=2 must be a number from 0 to 1"):
        check_settings(OmegaConf.create({"tool": {**own, "inner": ours}}))
