import pytest

from ganforge.metrics.protocol import NOISE, REAL, Protocol, Score
from ganforge.report.verdict import going_on, reference, trend, verdict

PROTOCOL = Protocol("cnn", "ab", "none", 64, ema=True, n_real=64, split="train")
OTHERS = ((REAL, 2.0), (NOISE, 42.0))


def scores(*values, details=OTHERS):
    return [
        Score("fid", value, PROTOCOL, step=100 * i, details=details)
        for i, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("value", "share", "words"),
    [
        (50.0, -0.2, "hardly better than noise"),
        (42.0, 0.0, "hardly better than noise"),
        (32.0, 0.25, "nearer to noise than to the real images"),
        (22.0, 0.5, "halfway between noise and the real images"),
        (12.0, 0.75, "nearer to the real images than to noise"),
        (4.0, 0.95, "close to the real images"),
        (2.0, 1.0, "nearly as close to the real images as other real images are"),
    ],
)
def test_a_score_is_placed_between_noise_and_real_images(value, share, words):
    place = reference(scores(value)[0])
    assert place.share == pytest.approx(share)
    assert place.words == words


def test_a_score_without_references_has_no_place():
    assert reference(scores(3.0, details=())[0]) is None
    assert reference(scores(3.0, details=((REAL, 1.0), (NOISE, 1.0)))[0]) is None
    assert reference(scores(float("nan"))[0]) is None


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((50.0, 30.0), ""),
        ((50.0, 30.0, 25.0, 20.0), "falling"),
        ((50.0, 20.0, 20.1, 19.9), "settled"),
        ((50.0, 10.0, 14.0, 20.0), "rising"),
        ((50.0, float("nan"), 30.0, 10.0), "falling"),
    ],
)
def test_the_trend_is_of_the_last_third(values, told):
    assert trend(scores(*values)) == told


def test_a_training_that_still_falls_is_told_how_to_go_on():
    falling = scores(50.0, 30.0, 25.0, 22.0)
    told = "Halfway between noise and the real images; still getting better"
    assert verdict(falling) == f"{told}: train on."
    assert verdict(falling, ended=False) == f"{told}."
    words = ["train", "resume=outputs/a", "trainer.max_steps=600"]
    assert going_on(falling, "outputs/a") == [*words, "resume.allow_change=[trainer.max_steps]"]
    assert going_on(scores(50.0, 20.0, 20.1, 19.9), "outputs/a") == []


def test_a_training_that_got_worse_is_told_where_the_best_is():
    told = verdict(scores(50.0, 4.0, 14.0, 20.0))
    assert told.startswith("Close to the real images; it was best at step 100, which checkpoints/")


def test_what_cannot_be_placed_is_told_by_its_number():
    assert verdict(scores(0.25, details=())) == "FID 0.25."
    assert verdict([]) == ""
    assert verdict(scores(3.0, float("nan"))).endswith("the training broke down.")
