"""The callback: it watches without touching, goes on after a resume, and comes back from NaN."""

import json

import pytest
import torch
from lightning.pytorch import Callback

from ganforge.callbacks.checkpoints import Checkpoints
from ganforge.callbacks.doctor.callback import Doctor
from ganforge.callbacks.doctor.report import HealthReport
from ganforge.callbacks.doctor.rescue import Rescue
from ganforge.callbacks.doctor.vitals import Finding
from ganforge.callbacks.ema import EMA
from ganforge.models.schedules import constant_then_linear
from ganforge.utils.errors import DivergedError


class Always:
    """A rule that finds something from a step on."""

    def __init__(self, since, until=10**9):
        self.since, self.until = since, until

    def __call__(self, history, case):
        ill = self.since <= history[-1].step < self.until
        return Finding("ill", "it is ill", "so", ("seed=1",), {"step": 1.0}) if ill else None


@pytest.fixture
def doctor(tmp_path):
    def make(rules=None, folder=tmp_path, rescue=None, **options):
        options = {"every_n_steps": 2, "gradient_every": 1, "probe_every_n_steps": 4, **options}
        options["samples"] = 8
        return Doctor(folder, rules or {}, rescue or Rescue(every_n_steps=2), **options)

    return make


def test_watching_changes_nothing(
    doctor, tiny_gan, tiny_data, tiny_trainer, weights, assert_same_weights
):
    found = []
    for callbacks in ([EMA()], [EMA(), doctor()]):
        module = tiny_gan()
        tiny_trainer(max_steps=12, callbacks=callbacks).fit(module, datamodule=tiny_data())
        found.append((weights(module), weights(callbacks[0].averages["generator"])))
        random = torch.rand(4)
        found[-1] += ({"random": random},)
    for watched, alone in zip(*found, strict=True):
        assert_same_weights(watched, alone)


def test_vitals_are_the_means_of_what_was_logged(doctor, tiny_gan, tiny_data, tiny_trainer):
    logged = []

    class Note(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            logged.append({k: float(v) for k, v in trainer.callback_metrics.items()})

    callback = doctor()
    tiny_trainer(max_steps=6, callbacks=[callback, Note()]).fit(tiny_gan(), datamodule=tiny_data())
    history = callback.histories[""]
    assert [v.step for v in history] == [2, 4, 6]
    for i, vitals in enumerate(history):
        pair = logged[2 * i : 2 * i + 2]
        for ours, theirs in {
            "d_real": "discriminator/D(x)",
            "logit_fake": "discriminator/logit(G(z))",
            "critic_loss": "discriminator/adversarial",
            "generator_gradient": "generator/gradient_norm",
        }.items():
            expected = sum(record[theirs] for record in pair) / 2
            assert getattr(vitals, ours) == pytest.approx(expected, rel=1e-5), ours
    assert history[1].diversity > 0
    assert history[1].movement > 0
    assert "diversity" not in history[0].to_dict()


def test_a_finding_is_told_once_and_when_it_is_over(doctor, tiny_gan, tiny_data, tiny_trainer):
    callback = doctor({"always": Always(4, 8)})
    callback.journal.patience = 4
    tiny_trainer(max_steps=16, callbacks=[callback]).fit(tiny_gan(), datamodule=tiny_data())
    lines = callback.journal.path.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert [(e["event"], e["step"]) for e in events] == [("found", 4), ("over", 10)]
    assert events[0]["message"] == "it is ill: so; try seed=1"
    assert callback.journal.headline == ""


def test_a_healthy_run_leaves_no_diagnosis(doctor, tiny_gan, tiny_data, tiny_trainer, tmp_path):
    callback = doctor({"always": Always(100)})
    tiny_trainer(max_steps=4, callbacks=[callback]).fit(tiny_gan(), datamodule=tiny_data())
    assert not callback.journal.path.exists()


def test_a_resumed_doctor_goes_on_as_if_nothing_had_happened(
    doctor, tiny_gan, tiny_data, tiny_trainer, tmp_path
):
    """Resumed where the loader of the tests begins an epoch, in the middle of a window."""

    def fit(steps, folder, *more, **options):
        watching = doctor(
            {"a": Always(6)}, folder, every_n_steps=3, probe_every_n_steps=3, gradient_every=2
        )
        # No dropout: its randomness is not the doctor's to save.
        module, data = tiny_gan(networks="dcgan"), tiny_data(shape=(1, 32, 32))
        trainer = tiny_trainer(max_steps=steps, callbacks=[watching, *more])
        trainer.fit(module, datamodule=data, **options)
        return watching

    saver = Checkpoints(tmp_path / "c", every_n_steps=8)
    whole = fit(16, tmp_path / "whole")
    # The end of a training closes a window; what was saved on the way there does not.
    fit(10, tmp_path / "parts", saver)
    parts = fit(16, tmp_path / "parts", ckpt_path=tmp_path / "c" / "previous.ckpt")
    one, two = ([v.to_dict() for v in d.histories[""]] for d in (whole, parts))
    assert [v["step"] for v in one] == [3, 6, 9, 12, 15, 16]
    assert one == two
    assert parts.journal.path.read_text() == whole.journal.path.read_text()


class Poison(Callback):
    """Puts NaN into a weight of the critic before each of the given steps."""

    def __init__(self, *steps):
        self.steps = set(steps)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step in self.steps:
            self.steps.remove(trainer.global_step)
            next(pl_module.discriminator.parameters()).data.view(-1)[0] = torch.nan


def finite(module):
    return all(torch.isfinite(t).all() for t in module.state_dict().values())


def test_nan_brings_back_the_last_good_state_with_smaller_rates(
    doctor, tiny_gan, tiny_data, tiny_trainer, weights, assert_same_weights
):
    kept = {}

    class Note(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            kept[trainer.global_step] = weights(pl_module)

    callback, ema = doctor(), EMA()
    module = tiny_gan(schedule=lambda o: constant_then_linear(o, 1000, 0.9))
    trainer = tiny_trainer(max_steps=8, callbacks=[ema, callback, Note(), Poison(5)])
    trainer.fit(module, datamodule=tiny_data())
    assert_same_weights(kept[6], kept[4])
    assert finite(module)
    assert finite(ema.averages["generator"])
    for optimizer, scheduler in zip(
        trainer.optimizers, [c.scheduler for c in trainer.lr_scheduler_configs], strict=True
    ):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5e-3)
        assert scheduler.get_last_lr() == [pytest.approx(0.5e-3)]
    (event,) = callback.journal.events
    assert event["name"] == "not_finite"
    assert "went back to the state of step 4" in event["message"]
    assert callback.rescue.returns == 1


def test_what_is_saved_is_never_broken(doctor, tiny_gan, tiny_data, tiny_trainer, tmp_path):
    """A checkpoint is due in the middle of a window, right after the weights broke."""
    callback = doctor(every_n_steps=4)
    saver = Checkpoints(tmp_path / "c", every_n_steps=3)
    poison = Poison(5)
    trainer = tiny_trainer(max_steps=6, callbacks=[EMA(), callback, saver, poison])
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    saved = torch.load(tmp_path / "c" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 6
    assert all(torch.isfinite(t).all() for t in saved["state_dict"].values())


def test_the_fourth_nan_ends_the_training_with_all_saved(
    doctor, tiny_gan, tiny_data, tiny_trainer, tmp_path
):
    callback = doctor({"always": Always(2)}, rescue=Rescue(every_n_steps=2, most=3))
    saver = Checkpoints(tmp_path / "c", every_n_steps=100)
    report = HealthReport(tmp_path / "health.png")
    callbacks = [EMA(), callback, saver, Poison(5, 9, 13, 17), report]
    trainer = tiny_trainer(max_steps=40, callbacks=callbacks)
    with pytest.raises(DivergedError, match="once more after 3 returns") as error:
        trainer.fit(tiny_gan(), datamodule=tiny_data())
    assert error.value.exit_code == 4
    saved = torch.load(tmp_path / "c" / "last.ckpt", weights_only=True)
    assert saved["global_step"] == 18
    assert all(torch.isfinite(t).all() for t in saved["state_dict"].values())
    events = [json.loads(line) for line in callback.journal.path.read_text().splitlines()]
    assert [e["step"] for e in events if e["name"] == "not_finite"] == [6, 10, 14, 18]
    assert (tmp_path / "health.png").stat().st_size > 10_000


def test_a_start_without_a_good_state_is_an_error(doctor, tiny_gan, tiny_data, tiny_trainer):
    module = tiny_gan()
    next(module.discriminator.parameters()).data.fill_(torch.nan)
    trainer = tiny_trainer(callbacks=[doctor()])
    with pytest.raises(DivergedError, match="was not finite either"):
        trainer.fit(module, datamodule=tiny_data())


@pytest.mark.parametrize(
    "options",
    [{"every_n_steps": 0}, {"gradient_every": 0}, {"probe_every_n_steps": 3}, {"samples": 1}],
)
def test_impossible_settings_are_refused(options, tmp_path):
    options = {"every_n_steps": 2, "probe_every_n_steps": 4, **options}
    with pytest.raises(ValueError, match=r"callbacks\.doctor"):
        Doctor(tmp_path, {}, Rescue(), **options)


@pytest.mark.parametrize("options", [{"every_n_steps": 0}, {"most": -1}, {"rate_factor": 0}])
def test_impossible_rescues_are_refused(options):
    with pytest.raises(ValueError, match="a rescue every"):
        Rescue(**options)
