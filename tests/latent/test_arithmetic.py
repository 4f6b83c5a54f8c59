import pytest
import torch

from ganforge.latent.arithmetic import Arithmetic, expected, share_of
from ganforge.latent.groups import Group
from ganforge.utils.errors import UserError


def test_what_a_sum_should_be_is_what_b_does_not_cancel():
    both, beard, neither = (
        {"glasses": 1, "beard": 1}, {"glasses": 0, "beard": 1}, {"glasses": 0, "beard": 0},
    )  # fmt: skip
    assert expected(both, beard, neither) == {"glasses": 1, "beard": 0}
    assert expected({"hair": 1}, {"hair": 2}, {"hair": 3}) == {}
    assert expected({"hair": 1, "beard": 0}, {"hair": 1}, {"hair": 3}) == {"hair": 3}


def test_shares_are_counted_alone_and_together():
    labels = {"a": torch.tensor([1, 1, 0, 0]), "b": torch.tensor([1, 0, 1, 0])}
    assert share_of(labels, {"a": 1, "b": 0}) == {"a": 0.5, "b": 0.5, "all": 0.25}


def test_of_seeds_the_picture_is_that_of_the_sum(space):
    findings = Arithmetic([1, 2], [3], [4], rescale=False, neighbours=1)(space)
    z = space.of_seeds([1, 2, 3, 4])
    wanted = space.images((z[:2].mean(0) - z[2] + z[3])[None])[0]
    sheet = findings.pictures["arithmetic"]
    assert list(sheet.columns) == ["A", "- B", "+ C", "= result", "A + C", "near 1"]
    assert torch.equal(sheet.images[3], wanted)
    # The neighbour is the training image with the least distance of features.
    distance = (space.train.images.float() - wanted.float()).square().sum((1, 2, 3))
    assert torch.equal(sheet.images[5], space.train.images[distance.argmin()])


def test_subtraction_beats_the_plain_sum_where_values_oppose(space):
    # (bright, right) - (dark, right) + (dark, left) is bright and left.
    tool = Arithmetic(
        "bright=1,split=2", "bright=0,split=2", "bright=0,split=0", n=5, results=60, pool=2000
    )
    numbers = tool(space).numbers
    assert numbers["wanted"] == "bright=yes,split=left"
    assert numbers["A - B + C"]["split"] > 0.9
    assert numbers["A - B + C"]["all"] > numbers["A + C"]["all"] + 0.2
    assert numbers["results"] == 60
    assert tool(space).numbers == numbers


def test_another_seed_takes_other_samples(space_with):
    tool = Arithmetic("bright=1", "bright=0", "bright=1", n=3, results=10, pool=200)
    sheets = [tool(space_with(seed=s)).pictures["arithmetic"].images for s in (0, 1)]
    assert not torch.equal(*sheets)


def test_the_direction_averages_many_the_changed_one_few(space, monkeypatch):
    counts = []
    means = Group.means

    def counted(group, count, n, rng):
        counts.append(n)
        return means(group, count, n, rng)

    monkeypatch.setattr(Group, "means", counted)
    Arithmetic("bright=1", "bright=0", "bright=0", n=20, n_c=2, results=3, pool=200)(space)
    assert counts == [20, 20, 2]


@pytest.mark.parametrize("name", ["n", "n_c", "results"])
def test_counts_below_one_are_refused(space, name):
    with pytest.raises(UserError, match=f"tool.{name}=0 must be at least 1"):
        Arithmetic([1], [2], [3], **{name: 0})(space)


def test_all_at_once_is_said_of_several_values(space):
    one = Arithmetic("bright=1", "bright=0", "bright=0", n=5, results=10, pool=500)(space)
    assert "all at once" not in one.lines[0]
    two = ("bright=1,split=2", "bright=0,split=2", "bright=0,split=0")
    assert "all at once" in Arithmetic(*two, n=5, results=10, pool=2000)(space).lines[0]
