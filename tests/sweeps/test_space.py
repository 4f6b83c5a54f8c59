import pytest

from ganforge.utils.errors import UserError

optuna = pytest.importorskip("optuna")

from ganforge.sweeps.space import Space  # noqa: E402

FLOAT, INT = optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution
CHOICE = optuna.distributions.CategoricalDistribution


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("interval(0.0, 1.0)", FLOAT(0.0, 1.0)),
        ("int(interval(1, 8))", INT(1, 8)),
        ("tag(log, interval(1e-5, 1e-1))", FLOAT(1e-5, 1e-1, log=True)),
        ("tag(log, int(interval(1, 64)))", INT(1, 64, log=True)),
        ("range(1, 17)", INT(1, 16)),  # the end is left out, as in all of Hydra
        ("range(1, 17, 5)", INT(1, 16, step=5)),
        ("range(0.0, 1.0, 0.25)", FLOAT(0.0, 0.75, step=0.25)),
        ("range(8, 1, -3)", CHOICE(["8", "5", "2"])),
        ("choice(hinge, [1,2], 'a b')", CHOICE(["hinge", "[1,2]", "a\\ b"])),
        ("hinge,minimax", CHOICE(["hinge", "minimax"])),
    ],
)
def test_hydras_words_mean_the_same_values(text, kind):
    assert Space.read({"key": text}, {}, []).searched == {"key": kind}


@pytest.mark.parametrize("text", ["interval(1, 0)", "tag(log, interval(0, 1))", "range(5, 5)"])
def test_an_impossible_range_is_a_sentence(text):
    with pytest.raises(UserError, match=r"key=.*cannot be searched"):
        Space.read({"key": text}, {}, [])


def test_a_key_is_searched_only_with_the_choice_that_it_belongs_to():
    space = Space.read(
        {"loss": "choice(hinge, penalised)"}, {"loss=penalised": {"weight": "range(1, 9)"}}, []
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    told = [space.suggest(study.ask()) for _ in range(20)]
    assert all(len(words) == (2 if "loss=penalised" in words else 1) for words in told)
    assert {len(words) for words in told} == {1, 2}


def test_the_command_line_fixes_a_key_and_what_hangs_on_it():
    params, more = (
        {"loss": "choice(a, b)", "x": "range(1, 3)"},
        {"loss=b": {"weight": "range(1,9)"}},
    )
    study = optuna.create_study()
    words = Space.read(params, more, ["loss=b", "weight=5"]).suggest(study.ask())
    assert {"loss=b", "weight=5"} <= set(words)
    assert len(words) == 3
    assert len(Space.read(params, more, ["loss=b"]).suggest(study.ask())) == 3
    assert len(Space.read(params, more, ["loss=a"]).suggest(study.ask())) == 2
