import json
from dataclasses import replace

import pytest

from ganforge.metrics.protocol import Protocol, Score, refuse_unlike, short_count
from ganforge.utils.errors import DamagedFileError, UserError

PROTOCOL = Protocol(
    extractor="cnn-avatars",
    sha256="ab" * 32,
    resize="bilinear, antialias",
    n_fake=2000,
    ema=True,
    n_real=2000,
    split="train",
    data_hash="cd" * 32,
    settings=(("subsets", 100), ("subset_size", 1000)),
    seed=3,
)
SCORE = Score("kid", 0.25, PROTOCOL, 0.1, 500, "outputs/a", ("few",), (("torch", "2.8"),))


def test_counts_are_written_as_papers_do():
    assert [short_count(n) for n in (50_000, 2000, 2048, 500)] == ["50k", "2k", "2048", "500"]


def test_names_follow_the_protocol():
    assert SCORE.name == "kid2k_train"
    assert Score("is", 1.0, replace(PROTOCOL, split="", n_real=0)).name == "is2k"
    there = replace(PROTOCOL, split="test", direction="a_to_b")
    assert Score("fid", 1.0, there).name == "fid2k_test_a_to_b"


def test_a_record_survives_json():
    assert Score.from_dict(json.loads(json.dumps(SCORE.to_dict()))) == SCORE


@pytest.mark.parametrize("broken", [{}, {"metric": "fid"}, {**SCORE.to_dict(), "flavour": 1}])
def test_a_broken_record_is_damaged(broken):
    with pytest.raises(DamagedFileError, match="not one that ganforge wrote"):
        Score.from_dict(broken)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("extractor", "inception"),
        ("sha256", "ef" * 32),
        ("resize", "nearest"),
        ("n_fake", 1000),
        ("n_real", 1000),
        ("split", "test"),
        ("data_hash", "00"),
        ("ema", False),
        ("settings", ()),
        ("checkpoint", "last"),
        ("direction", "a_to_b"),
    ],
)
def test_unlike_protocols_are_refused_by_field(field, value):
    other = replace(SCORE, protocol=replace(PROTOCOL, **{field: value}))
    assert set(PROTOCOL.differences(other.protocol)) == {field}
    with pytest.raises(UserError, match=rf"different protocols \({field}: "):
        refuse_unlike([SCORE, SCORE, other])


def test_scores_of_other_draws_and_steps_may_be_compared():
    other = replace(SCORE, protocol=replace(PROTOCOL, seed=9, real_seed=4), step=1000, run="b")
    refuse_unlike([SCORE, other.of_run("c")])


def test_of_settings_only_those_that_differ_are_told():
    settings = (("subsets", 100), ("subset_size", 500))
    other = replace(SCORE, protocol=replace(PROTOCOL, settings=settings))
    with pytest.raises(UserError, match=r"\(settings: subset_size 1000 against 500\)"):
        refuse_unlike([SCORE, other])


def test_different_metrics_are_refused():
    with pytest.raises(UserError, match="different metrics"):
        refuse_unlike([SCORE, replace(SCORE, metric="fid")])
