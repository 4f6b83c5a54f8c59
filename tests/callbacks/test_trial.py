from types import SimpleNamespace

import pytest

optuna = pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution  # noqa: E402

from ganforge.callbacks.judge import Judge  # noqa: E402
from ganforge.callbacks.trial import OptunaTrial  # noqa: E402
from ganforge.metrics.protocol import Protocol, Score  # noqa: E402

SPACE = {"lr": FloatDistribution(0, 1), "loss": CategoricalDistribution(["hinge", "minimax"])}


POINTS = Protocol("points", "", "none", 10, ema=False)


class Reading(Judge):
    """Measures what it is told to."""

    newest = None


class Trainer(SimpleNamespace):
    is_global_zero = True
    should_stop = False
    strategy = SimpleNamespace(broadcast=lambda value: value)


@pytest.fixture
def study(tmp_path):
    """Four complete trials whose score falls from 4 to 1."""
    return four_trials(tmp_path, 4.0, 1.0)


def four_trials(tmp_path, at_10, at_20):
    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(storage=storage, study_name="sweep")
    for _ in range(4):
        trial = study.ask(SPACE)
        for step, value in ((10, at_10), (20, at_20)):
            trial.report(value, step)
        study.tell(trial, at_20)
    return study


def reporter(tmp_path, trial):
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0)
    return OptunaTrial(trial, None, str(tmp_path), "sweep", pruner)


def train(tmp_path, trial, scores):
    callback, reading = reporter(tmp_path, trial), Reading(10)
    trainer = Trainer(callbacks=[reading, callback], global_step=0)
    callback.on_train_start(trainer, None)
    for step in range(1, 10 * len(scores) + 1):
        trainer.global_step = step
        if step % 10 == 0:
            reading.newest = Score("w1", scores[step // 10 - 1], POINTS, step=step)
        callback.on_train_batch_end(trainer, None, None, None, step)
        if trainer.should_stop:
            break
    return trainer.global_step, callback.pruned


def stored(tmp_path):
    return optuna.load_study(study_name="sweep", storage=f"sqlite:///{tmp_path}/study.db").trials


def test_a_trial_that_falls_behind_is_stopped(study, tmp_path):
    trial = study.ask(SPACE)
    study.ask(SPACE)  # another one that runs beside it
    assert train(tmp_path, trial.number, [3.0, 2.0, 2.0]) == (20, True)
    assert stored(tmp_path)[trial.number].intermediate_values == {10: 3.0, 20: 2.0}
    assert stored(tmp_path)[-1].intermediate_values == {}


def test_a_training_on_images_is_stopped_by_its_fid(
    tmp_path, tiny_gan, tiny_data, tiny_trainer, image_quality
):
    """An untrained generator's FID lies between what the others had after 10 and 20 steps."""
    study = four_trials(tmp_path, 1e3, 1e-6)
    trial = study.ask(SPACE)
    pruning, quality = reporter(tmp_path, trial.number), image_quality(every_n_steps=5)
    trainer = tiny_trainer(max_steps=40, callbacks=[quality, pruning])
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    reported = {score.step: score.value for score in quality.history if score.step}
    assert stored(tmp_path)[trial.number].intermediate_values == reported
    assert list(reported) == [5, 10, 15, 20]
    assert all(1e-6 < value < 1e3 for value in reported.values())
    assert (trainer.global_step, pruning.pruned) == (20, True)


def test_a_trial_that_keeps_up_is_not(study, tmp_path):
    assert train(tmp_path, study.ask(SPACE).number, [3.0, 0.5]) == (20, False)


def test_a_run_that_no_study_asked_for_is_left_alone(study, tmp_path):
    study.ask(SPACE)
    assert train(tmp_path, None, [9.0, 9.0]) == (20, False)
    assert stored(tmp_path)[-1].intermediate_values == {}


def test_a_lost_study_stops_no_training(study, tmp_path, capsys):
    trial = study.ask(SPACE)
    (tmp_path / "study.db").write_text("no database")
    assert train(tmp_path, trial.number, [9.0, 9.0]) == (20, False)
    assert "does not answer" in capsys.readouterr().err
