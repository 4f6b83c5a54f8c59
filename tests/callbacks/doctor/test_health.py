"""The health report: which panels there are, and that marks are where findings were."""

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest

from ganforge.callbacks import doctor
from ganforge.callbacks.doctor.health import draw_health, panels
from ganforge.callbacks.doctor.report import judged_by
from ganforge.callbacks.doctor.vitals import Vitals
from ganforge.callbacks.score_history import ScoreHistory

GAN = [
    Vitals(
        25 * i, critic_loss=1.2, generator_loss=0.8, d_real=0.6, d_fake=0.4, logit_real=1.0,
        logit_fake=-1.0, critic_gradient=1.0, generator_gradient=1.0, diversity=0.5, memory=0.1,
        score=50 / i,
    )
    for i in range(1, 9)
]  # fmt: skip
SIDE = [
    Vitals(25 * i, critic_loss=0.2, d_real=0.6, d_fake=0.4, terms={"cycle_a": 1 / i, "cycle_b": 1})
    for i in range(1, 9)
]
FOUND = {
    "step": 100, "event": "found", "name": "critic_wins", "side": "", "numbers": {"d_real": 1.0},
    "what": "the critic wins", "message": "the critic wins: D(x) 0.98; try regularizer=[r1]",
    "remedies": ["regularizer=[r1]"],
}  # fmt: skip
OVER = {**FOUND, "step": 150, "event": "over"}


def titles(histories):
    return [panel.title for panel in panels(histories, "FID")]


def test_a_gan_has_a_panel_for_everything_that_was_measured():
    assert titles({"": GAN}) == [
        "adversarial losses",
        "D(x) and D(G(z))",
        "logits",
        "gradient norms",
        "diversity",
        "learned by heart",
        "FID",
    ]


@pytest.mark.parametrize(
    ("metric", "shown"), [("fid", "FID"), ("l1_", "L1"), ("missed_modes", "missed modes")]
)
def test_the_last_panel_is_named_after_what_a_run_is_judged_by(tmp_path, metric, shown):
    scores = ScoreHistory(tmp_path / "scores.json", None)
    scores.history = [SimpleNamespace(name=f"{metric}500", metric=metric)]
    assert judged_by(SimpleNamespace(callbacks=[scores])) == shown
    assert judged_by(SimpleNamespace(callbacks=[])) == "score"
    assert panels({"": GAN}, shown)[-1].title == shown


def test_a_translator_shows_both_critics_and_its_other_terms():
    found = {panel.title: panel for panel in panels({"a": SIDE, "b": SIDE}, "FID")}
    assert list(found) == ["adversarial losses", "D(x) and D(G(z))", "other terms"]
    labels = [curve[0] for curve in found["D(x) and D(G(z))"].curves]
    assert labels == ["D(x) · a", "D(G(z)) · a", "D(x) · b", "D(G(z)) · b"]
    assert [curve[0] for curve in found["other terms"].curves] == ["cycle · a", "cycle · b"]


def test_a_finding_is_marked_in_every_panel_for_as_long_as_it_lasted():
    figure = draw_health({"": GAN}, [FOUND, OVER], "title")
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert len(visible) == 7
    for axes in visible:
        (shade,) = axes.patches
        assert (shade.get_x(), shade.get_x() + shade.get_width()) == (100, 150)
        assert "1" in [text.get_text() for text in axes.texts]
    words = "".join(text.get_text() for text in figure.texts)
    assert "1  step 100: the critic wins: D(x) 0.98; try regularizer=[r1]" in words


def test_an_unfinished_finding_lasts_to_the_end():
    figure = draw_health({"": GAN}, [FOUND], "title")
    (shade,) = figure.axes[0].patches
    assert shade.get_x() + shade.get_width() == 200


def test_a_healthy_run_says_so():
    figure = draw_health({"": GAN}, [], "title")
    assert "The doctor found nothing." in [text.get_text() for text in figure.texts]


@pytest.mark.parametrize("history", [GAN[:1], [Vitals(25)]], ids=["one window", "nothing known"])
def test_little_can_be_drawn_as_well(history, tmp_path):
    draw_health({"": history}, [], "title").savefig(tmp_path / "health.png")
    assert (tmp_path / "health.png").stat().st_size > 1000


def test_matplotlib_is_imported_only_where_something_is_drawn():
    for path in Path(doctor.__path__[0]).glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in getattr(node, "names", [])]
            assert "matplotlib" not in str([getattr(node, "module", None), *names]), path.name
