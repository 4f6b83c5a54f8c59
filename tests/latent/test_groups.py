import pytest
import torch

from ganforge.latent.groups import Group, Pool, find_groups, parse_query, spell
from ganforge.latent.priors import to_shell
from ganforge.utils.errors import UserError

NAMES = {"glasses": ["none", "glasses"], "hair": ["bald", "bob"]}


@pytest.mark.parametrize(
    "query",
    [
        "glasses=1,hair=0",
        "glasses=glasses, hair=bald",
        "glasses:1+hair:bald",
        {"glasses": 1, "hair": 0},
    ],
)
def test_a_query_has_many_spellings(query):
    parsed = parse_query(query, NAMES)
    assert parsed == {"glasses": 1, "hair": 0}
    assert spell(parsed, NAMES) == "glasses=glasses,hair=bald"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("hat=1", "no attribute 'hat': there are glasses, hair"),
        ("hair=afro", "no value 'afro': there are 0=bald, 1=bob"),
        ("hair=2", "no value '2'"),
        ("hair", "no value 'hair'"),
        ("hair=0,hair=1", "names hair twice"),
        ([1, 2], r"\[1, 2\] is no query"),
    ],
)
def test_what_the_classifier_does_not_know_is_named(query, message):
    with pytest.raises(UserError, match=message):
        parse_query(query, NAMES)


def test_members_are_what_the_query_says(space):
    pool = Pool.sample(space, 500, space.rng())
    found = pool.matching({"bright": 1, "split": 0})
    images = space.logits(space.images(found))
    assert 0 < len(found) < 500
    assert (images["bright"].argmax(1) == 1).all()
    assert (images["split"].argmax(1) == 0).all()
    sure = pool.matching({"bright": 1}, confidence=0.95)
    assert 0 < len(sure) < len(pool.matching({"bright": 1}))
    assert space.logits(space.images(sure))["bright"].softmax(1)[:, 1].min() >= 0.95


def test_no_match_says_what_the_samples_show(space):
    pool = Pool.sample(space, 50, space.rng())
    with pytest.raises(
        UserError, match=r"none of 50 samples is bright=yes .*bright: no \d+\.\d%, yes"
    ):
        pool.matching({"bright": 1}, confidence=0.9999999)


def test_means_are_of_different_members_and_repeat_with_the_seed():
    z = torch.eye(10) * 10
    group = Group(z, "", query={"a": 1})
    means = group.means(50, 4, torch.Generator().manual_seed(3))
    assert torch.equal(means, group.means(50, 4, torch.Generator().manual_seed(3)))
    # A mean of 4 different rows of 10·I has four entries of 2.5.
    assert ((means == 2.5).sum(1) == 4).all()
    assert len(means.unique(dim=0)) > 20


def test_seeds_are_averaged_all_together(space):
    group, other = find_groups(space, [[3, 4], "bright=yes"], 200, 0.0, space.rng())
    mean = torch.stack(
        [space.prior.draw(1, torch.Generator().manual_seed(s))[0] for s in (3, 4)]
    ).mean(0)
    torch.testing.assert_close(group.means(5, 1, space.rng()), mean.expand(5, -1))
    assert group.query is None
    assert other.words == "bright=yes"


@pytest.mark.parametrize("operand", [[], 5, ["x"], [-1], [1.5], [True], None])
def test_what_is_neither_seeds_nor_a_query_is_refused(operand, space):
    with pytest.raises(UserError, match="is no group of latents: give a list of seeds"):
        find_groups(space, [operand, [1]], 10, 0.0, space.rng())


def test_without_a_classifier_a_query_says_what_to_do(space_with):
    with pytest.raises(UserError, match="features=cnn"):
        find_groups(space_with(classify=None), ["bright=1"], 10, 0.0, torch.Generator())


def test_the_shell_has_the_length_of_normal_latents():
    z = torch.randn(5, 16, generator=torch.Generator().manual_seed(0)) * 0.1
    stretched = to_shell(z)
    torch.testing.assert_close(stretched.norm(dim=1), torch.full((5,), 4.0))
    torch.testing.assert_close(stretched / 4, z / z.norm(dim=1, keepdim=True))
