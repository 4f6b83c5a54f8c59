from types import SimpleNamespace

import pytest

optuna = pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, UniformDistribution  # noqa: E402

from ganforge.callbacks.judge import Judge  # noqa: E402
from ganforge.callbacks.pruning import OptunaPruning  # noqa: E402
from ganforge.metrics.protocol import Protocol, Score  # noqa: E402

SPACE = {"lr": UniformDistribution(0, 1), "loss": CategoricalDistribution(["hinge", "minimax"])}


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


def train(tmp_path, overrides, scores):
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0)
    callback, reading = OptunaPruning(tmp_path / "study.db", overrides, pruner), Reading(10)
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


def asked(study):
    trial = study.ask(SPACE)
    return trial, [f"{key}={value}" for key, value in trial.params.items()]


def test_a_trial_that_falls_behind_is_stopped(study, tmp_path):
    trial, overrides = asked(study)
    assert train(tmp_path, [*overrides, "seed=3"], [3.0, 2.0, 2.0]) == (20, True)
    stored = optuna.load_study("sweep", f"sqlite:///{tmp_path}/study.db").trials[trial.number]
    assert stored.intermediate_values == {10: 3.0, 20: 2.0}


def test_a_training_on_images_is_stopped_by_its_fid(
    tmp_path, tiny_gan, tiny_data, tiny_trainer, image_quality
):
    """An untrained generator's FID lies between what the others had after 10 and 20 steps."""
    study = four_trials(tmp_path, 1e3, 1e-6)
    trial, overrides = asked(study)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=0)
    pruning = OptunaPruning(tmp_path / "study.db", overrides, pruner)
    quality = image_quality(every_n_steps=5)
    trainer = tiny_trainer(max_steps=40, callbacks=[quality, pruning])
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    stored = optuna.load_study("sweep", f"sqlite:///{tmp_path}/study.db").trials[trial.number]
    reported = {score.step: score.value for score in quality.history if score.step}
    assert stored.intermediate_values == reported
    assert list(reported) == [5, 10, 15, 20]
    assert all(1e-6 < value < 1e3 for value in reported.values())
    assert (trainer.global_step, pruning.pruned) == (20, True)


def test_a_trial_that_keeps_up_is_not(study, tmp_path):
    _, overrides = asked(study)
    assert train(tmp_path, overrides, [3.0, 0.5]) == (20, False)


def test_a_run_that_no_study_asked_for_is_left_alone(study, tmp_path):
    asked(study)
    assert train(tmp_path, ["lr=7", "loss=hinge"], [9.0, 9.0]) == (20, False)
    stored = optuna.load_study("sweep", f"sqlite:///{tmp_path}/study.db").trials[-1]
    assert stored.intermediate_values == {}
    (tmp_path / "study.db").unlink()
    assert train(tmp_path, ["lr=7"], [9.0]) == (10, False)
