"""Every rule on series made by hand: what it must see, what it must leave alone."""

import math
from dataclasses import replace

import pytest

from ganforge.callbacks.doctor.balance import (
    CriticFooled,
    CriticGuesses,
    CriticRemembers,
    CriticWins,
    LogitsExplode,
)
from ganforge.callbacks.doctor.motion import (
    GradientsExplode,
    GradientsVanish,
    PlayersRace,
    PlayerStuck,
)
from ganforge.callbacks.doctor.samples import DataAlike, ModesCollapse, NoiseIgnored, ScoreRises
from ganforge.callbacks.doctor.vitals import Case, Vitals, lately, mean

CASE = Case(
    floor=0.0,
    chance=math.log(4),
    generator_rate=2e-4,
    critic_rate=2e-4,
    data_spread=0.4,
    distance=30.0,
)
CALM = Vitals(
    0, critic_loss=1.2, generator_loss=0.8, d_real=0.6, d_fake=0.4, logit_real=0.4,
    logit_fake=-0.4, critic_gradient=2.0, generator_gradient=1.0, diversity=0.8, movement=0.3,
    memory=0.1, generator_update=0.01, critic_update=0.01,
)  # fmt: skip


def series(windows=20, **readings):
    """Windows of 25 steps; a reading is a value for all, or one a window from the end."""
    history = []
    for i in range(windows):
        now = {}
        for name, value in readings.items():
            if isinstance(value, list):
                place = i - (windows - len(value))
                if place >= 0:
                    now[name] = value[place]
            else:
                now[name] = value
        history.append(replace(CALM, step=25 * (i + 1), **now))
    return history


# Rule, the series that it must name, one just inside the limit that it must not.
SICK = {
    "critic_wins": (
        CriticWins(loss_share=0.05, steps=200),
        series(critic_loss=[0.05] * 8, d_real=[0.98] * 8, d_fake=[0.0] * 8),
        series(critic_loss=[0.05] * 7 + [0.3]),
    ),
    "critic_guesses": (
        CriticGuesses(loss_share=0.95, steps=300, far=0.5, nearer=0.95),
        series(critic_loss=1.38, score=[90.0, 70.0, 69.0]),
        series(critic_loss=1.38, score=[90.0, 70.0, 60.0]),
    ),
    "critic_fooled": (
        CriticFooled(margin=0.1, steps=100),
        series(d_real=[0.3] * 4, d_fake=[0.9] * 4),
        series(d_real=0.5, d_fake=0.59),
    ),
    "logits_explode": (
        LogitsExplode(times=3, least=50, steps=50),
        series(logit_real=[80.0, 90.0], logit_fake=[-80.0, -90.0]),
        series(logit_real=[80.0, 40.0], logit_fake=[-80.0, -40.0]),
    ),
    "critic_remembers": (
        CriticRemembers(share=0.5, looks=3),
        series(memory=[0.6, 0.7, 0.8]),
        series(memory=[0.0, 0.6, 0.8]),
    ),
    "gradients_vanish": (
        GradientsVanish(norm=1e-7, steps=100),
        series(generator_gradient=[0.0] * 4),
        series(generator_gradient=[1e-6, 0.0, 0.0, 0.0]),
    ),
    "gradients_explode": (
        GradientsExplode(times=100, steps=50, windows=4),
        series(critic_gradient=[300.0, 400.0]),
        series(critic_gradient=[190.0, 400.0]),
    ),
    "generator_stuck": (
        PlayerStuck(looks=3),
        series(generator_update=[0.0, 0.0, 0.0]),
        series(generator_update=[1e-9, 0.0, 0.0]),
    ),
    "critic_stuck": (
        PlayerStuck(looks=3),
        series(critic_update=[0.0, 0.0, 0.0]),
        series(critic_update=[0.0, 0.0, 1e-9]),
    ),
    "players_race": (
        PlayersRace(loss_share=0.9, movement=0.95, looks=3, steps=200),
        series(critic_loss=1.30, movement=1.03),
        # In balance D guesses as well, but samples rest.
        series(critic_loss=1.39, movement=0.9),
    ),
    "noise_ignored": (
        NoiseIgnored(diversity=1e-3, looks=2),
        series(diversity=[1e-5, 0.0]),
        series(diversity=[0.01, 0.0]),
    ),
    "modes_collapse": (
        ModesCollapse(diversity=0.1, looks=3, grace=300),
        series(diversity=[0.09, 0.05, 0.04]),
        series(windows=11, diversity=[0.09, 0.05, 0.04]),
    ),
    "score_rises": (
        ScoreRises(times=1.25, scores=2),
        series(score=[20.0, 10.0, 14.0, 13.0]),
        series(score=[20.0, 10.0, 14.0, 12.0]),
    ),
}


@pytest.mark.parametrize("name", SICK)
def test_a_rule_names_what_it_sees_with_its_numbers(name):
    rule, sick, _ = SICK[name]
    finding = rule(sick, CASE)
    assert finding.name == name
    assert finding.numbers
    assert all(math.isfinite(number) for number in finding.numbers.values())
    assert finding.message.startswith(f"{finding.what}: ")
    assert "; try " in finding.message
    assert "nan" not in finding.message


@pytest.mark.parametrize("name", SICK)
def test_a_rule_says_nothing_just_inside_its_limit(name):
    rule, _, well = SICK[name]
    assert rule(well, CASE) is None


@pytest.mark.parametrize("name", SICK)
@pytest.mark.parametrize(
    "history", [[], [Vitals(25)], series(1), series(400)], ids=["none", "unknown", "one", "long"]
)
def test_a_rule_says_nothing_of_little_or_of_health(name, history):
    assert SICK[name][0](history, CASE) is None


def test_the_sentence_of_a_winning_critic():
    rule, sick, _ = SICK["critic_wins"]
    assert rule(sick, replace(CASE, in_use=frozenset({"norm=spectral"}))).message == (
        "the critic wins: D(x) 0.98, D(G(z)) 0.00, its loss 0.05 where guessing costs 1.4, "
        "for 200 steps; try regularizer=[r1] or augment=diffaugment or "
        "model.optimizer_discriminator.lr=5e-05"
    )


def test_moving_samples_alone_are_no_race():
    assert SICK["players_race"][0](series(critic_loss=1.2, movement=0.9), CASE) is None


def test_a_wasserstein_critic_may_win():
    rule, sick, _ = SICK["critic_wins"]
    assert rule(sick, replace(CASE, floor=None, chance=None)) is None


def test_exploding_logits_are_judged_by_how_far_apart_the_data_are():
    rule, sick, _ = SICK["logits_explode"]
    assert rule(sick, replace(CASE, distance=100.0)) is None
    remedies = rule(sick, replace(CASE, floor=None, chance=None)).remedies
    assert remedies[0] == "regularizer=[gradient_penalty]"


def test_a_score_between_the_windows_hides_no_explosion():
    """Scores have records of their own, in which nothing else was measured."""
    rule, sick, _ = SICK["logits_explode"]
    scored = [*sick[:-1], Vitals(sick[-1].step, score=50.0), sick[-1]]
    finding = rule(scored, CASE)
    assert finding.numbers == {"gap": 180.0, "limit": 90.0}
    assert "90 for real and -90 for generated" in finding.message
    ended = rule([*sick, Vitals(sick[-1].step, score=50.0)], CASE)
    assert ended == finding


def test_alike_data_are_named_whatever_the_history():
    assert DataAlike(spread=0.01)(series(), replace(CASE, data_spread=0.005)).name == "data_alike"
    assert DataAlike(spread=0.01)(series(), CASE) is None
    assert DataAlike(spread=0.01)(series(), replace(CASE, data_spread=math.nan)) is None


def test_a_score_that_rises_from_the_best_just_measured_is_fine():
    assert ScoreRises()(series(score=[20.0, 19.0, 18.0, 10.0]), CASE) is None


def test_no_rate_is_made_of_none():
    assert CASE.rate("critic", 0.25) == ["model.optimizer_discriminator.lr=5e-05"]
    assert replace(CASE, generator_rate=0.0).rate("generator", 0.25) == []
    assert replace(CASE, generator_rate=math.nan).rate("generator", 0.25) == []


def test_lately_and_mean():
    history = series(4, score=[1.0, 3.0])
    assert [v.step for v in lately(history, 50)] == [75, 100]
    assert lately(history, 125) == ()
    assert mean(history, "score") == 2.0
    assert math.isnan(mean(history[:2], "score"))


@pytest.mark.parametrize(
    "calm",
    [
        series(critic_loss=1.38, score=[90.0, 5.0, 5.0]),  # in balance: as good as it gets
        series(critic_loss=1.2, score=[90.0, 90.0]),  # it knows something
        series(critic_loss=1.38, score=[90.0]),  # nothing to compare with
        series(critic_loss=1.38),
        series(windows=8, critic_loss=1.38, score=[90.0, 90.0]),  # young
    ],
)
def test_a_critic_that_guesses_is_left_alone_where_samples_are_near_or_come_nearer(calm):
    rule, sick, _ = SICK["critic_guesses"]
    assert rule(sick, CASE) is not None
    assert rule(calm, CASE) is None


def test_under_r1_a_guessing_critic_is_given_a_smaller_weight():
    rule, sick, _ = SICK["critic_guesses"]
    key = "model.objective.regularizers.r1.weight"
    found = rule(sick, replace(CASE, gradient_weights={key: 10.0}))
    assert found.remedies[0] == f"{key}=1"
    assert "its loss 1.38 where guessing costs 1.39" in found.message
