"""Recorded steps do what played ones do, whatever the host decides in between."""

import copy
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import Callback
from torch.testing import assert_close

from callbacks.tape import TapeRecorder
from ganforge.augment.ada import ADA
from ganforge.augment.instance_noise import InstanceNoise
from ganforge.callbacks.compile import Compile
from ganforge.callbacks.cuda_graph import CudaGraph
from ganforge.callbacks.doctor.gather import Gatherer
from ganforge.callbacks.recording import MOST, WARM_UP, Repeater, obstacle
from ganforge.losses.regularizers import R1, Lazy, LeCam
from ganforge.models.schedules import constant_then_linear
from ganforge.utils.errors import UserError
from models.tiny_translators import (
    Domains,
    make_cyclegan,
    make_pix2pix,
    make_remembering,
    weights,
)
from tiny import SHAPE, make_gan

STEPS = 24


def fused(parameters):
    """Rates that fp32 holds exactly: on the device they are fp32."""
    return torch.optim.Adam(parameters, lr=2**-10, betas=(0.5, 0.999), fused=True)


class Tape(Callback):
    """Lets a training repeat steps by a tape."""

    def __init__(self):
        self.recorder = TapeRecorder()

    def on_train_start(self, trainer, pl_module):
        pl_module.repeat = Repeater(pl_module, self.recorder)


class Heard(Callback):
    """What observers hear of every update, and loggers of every step."""

    def __init__(self):
        self.said = []

    def on_fit_start(self, trainer, pl_module):
        pl_module.observers.append(self.hear)

    def hear(self, player, readings, parameters):
        self.said.append((player, {name: value.item() for name, value in readings.items()}))
        self.said[-1][1].pop("gradient_norm", None)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.said.append((trainer.global_step, pl_module.images_seen, logged))


def train(make, data, trainer, *callbacks, steps=STEPS, **options):
    torch.manual_seed(0)
    module, heard = make(), Heard()
    trainer(max_steps=steps, callbacks=[heard, *callbacks], **options).fit(module, datamodule=data)
    return module, heard.said


def assert_repeats(make, data, trainer, kinds, played, **options):
    """``kinds`` recordings are made, and all but ``played`` steps come from them."""
    tape = Tape()
    module, said = train(make, data(), trainer, tape, **options)
    plain, expected = train(make, data(), trainer, **options)
    assert said == expected
    for name, value in plain.state_dict().items():
        if isinstance(value, torch.Tensor):
            assert_close(module.state_dict()[name], value, rtol=0, atol=0, msg=name)
        else:
            assert module.state_dict()[name] == value
    assert torch.equal(module.noise.get_state(), plain.noise.get_state())
    assert tape.recorder.recorded == kinds
    assert tape.recorder.repeated == STEPS - played - kinds


def made(**options):
    """A GAN whose remembering parts are new each time."""
    options = {"optimizer_generator": fused, "optimizer_discriminator": fused, **options}
    return lambda: make_gan(
        **{name: value() if name in REMEMBER else value for name, value in options.items()}
    )


REMEMBER = ("regularizers", "augment")


@pytest.mark.parametrize(
    ("options", "kinds", "played"),
    [
        ({}, 1, 3),
        ({"n_critic": 2, "accumulate": 2}, 1, 3),
        ({"clip_gradient": 0.1}, 1, 3),
        ({"schedule": lambda o: constant_then_linear(o, 32, 0, warm_up_steps=8)}, 1, 3),
        ({"regularizers": lambda: {"r1": R1(), "lecam": LeCam()}, "networks": "dcgan"}, 1, 3),
        ({"regularizers": lambda: {"r1": Lazy(R1(), every=4)}}, 2, 6),
        ({"augment": lambda: ADA(p=0.5, interval=3, speed_kimg=0.1)}, 2, 6),
        # The noise is gone after ten steps: then there are three to warm up.
        ({"augment": lambda: InstanceNoise(kimg=0.04)}, 1, 13),
    ],
    ids=["plain", "parts", "clipped", "rates", "penalties", "lazy", "ada", "noise"],
)
def test_repeated_steps_are_played_ones(options, kinds, played, tiny_data, tiny_trainer):
    data = (lambda: tiny_data(shape=(1, 32, 32))) if "networks" in options else tiny_data
    assert_repeats(made(**options), data, tiny_trainer, kinds, played)


def test_bf16_steps_are_repeated_with_new_weights(tiny_data, tiny_trainer):
    """Autocast's copies of weights are made anew in each."""
    assert_repeats(made(n_critic=2), tiny_data, tiny_trainer, 1, 3, precision="bf16-mixed")


def test_translators_are_repeated_pools_included(tiny_trainer):
    make = partial(make_cyclegan, optimizer=fused, pool_size=7)
    assert_repeats(make, Domains, tiny_trainer, 1, 3)
    lazy = partial(make_remembering, optimizer=fused)
    assert_repeats(lazy, Domains, tiny_trainer, 2, 6)


def test_dropout_is_drawn_anew_in_a_repeated_step(tiny_trainer):
    make = partial(make_pix2pix, optimizer=fused)
    assert_repeats(make, partial(Domains, paired=True, channels_a=1), tiny_trainer, 1, 3)


def test_the_doctor_hears_what_played_steps_tell(tiny_data, tiny_trainer):
    means = []
    for callbacks in ([Tape()], []):
        gatherer = Gatherer(gradient_every=1)
        make = made()

        def listening(make=make, gatherer=gatherer):
            module = make()
            module.observers.append(gatherer.observe)
            return module

        train(listening, tiny_data(), tiny_trainer, *callbacks)
        means.append(gatherer.peek())
    assert means[0] == pytest.approx(means[1], rel=1e-6)
    assert {"generator/gradient_norm", "discriminator/D(x)"} <= set(means[0])


def test_a_checkpoint_does_not_know_how_its_steps_were_done(tiny_trainer, tmp_path):
    """A run that repeats goes on from one that plays, and the other way."""
    make = partial(make_remembering, optimizer=fused, pool_size=3)
    whole, _ = train(make, Domains(), tiny_trainer)
    for first, second in (([Tape()], []), ([], [Tape()])):
        trainer = tiny_trainer(max_steps=13, callbacks=first)
        torch.manual_seed(0)
        trainer.fit(make(), datamodule=Domains())
        trainer.save_checkpoint(tmp_path / "half.ckpt")
        module, trainer = make(seed=7), tiny_trainer(max_steps=STEPS, callbacks=second)
        trainer.fit(module, datamodule=Domains(), ckpt_path=tmp_path / "half.ckpt")
        for name, value in weights(whole).items():
            assert_close(weights(module)[name], value, rtol=0, atol=0)
        for optimizer in trainer.optimizers:
            (group,) = optimizer.param_groups
            assert isinstance(group["lr"], float)
            assert not group["capturable"]


class Returns(Callback):
    """Loads the optimizers' states again in mid-training, as the doctor's rescue does."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 12:
            for optimizer in trainer.strategy.optimizers:
                optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


def test_a_loaded_state_is_recorded_anew(tiny_data, tiny_trainer):
    plain, _ = train(made(), tiny_data(), tiny_trainer, Returns())
    tape = Tape()
    module, _ = train(made(), tiny_data(), tiny_trainer, tape, Returns())
    assert_close(dict(module.state_dict()), dict(plain.state_dict()), rtol=0, atol=0)
    assert (tape.recorder.recorded, tape.recorder.repeated) == (2, STEPS - 3 - 2)


class Moody(R1, torch.nn.Module):
    """Counts on the host, and cannot say what comes next."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        R1.__init__(self)
        self.calls = 0

    def forward(self, critique):
        self.calls += 1
        self.weight = float(self.calls % 5)
        return R1.__call__(self, critique)

    __call__ = torch.nn.Module.__call__

    def get_extra_state(self):
        return {"calls": self.calls}

    def set_extra_state(self, state):
        self.calls = state["calls"]


def test_what_nobody_can_foresee_is_played(tiny_data, tiny_trainer):
    options = {"regularizers": lambda: {"moody": Moody()}}
    assert_repeats(made(**options), tiny_data, tiny_trainer, 0, STEPS)


class BrokenRecorder(TapeRecorder):
    """Fails in mid-step, when Python has done its part of the first player's update."""

    def record(self, work):
        def some():
            work()
            raise RuntimeError("operation not permitted when stream is capturing")

        kept = [(t, t.detach().clone()) for t in self.tensors]
        try:
            super().record(some)
        finally:  # while a graph is captured nothing is computed
            with torch.no_grad():
                for tensor, value in kept:
                    tensor.copy_(value)


def test_a_failing_recording_is_told_and_training_goes_on(tiny_data, tiny_trainer):
    """Lazy's counter is where it was, for the step is played after all."""
    options = {"regularizers": lambda: {"r1": Lazy(R1(), every=4)}}
    plain, expected = train(made(**options), tiny_data(), tiny_trainer)
    tape = Tape()
    tape.recorder = BrokenRecorder()

    class Watched(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            state = [
                t for o in trainer.strategy.optimizers for s in o.state.values() for t in s.values()
            ]
            rng = []
            tape.recorder.tensors = [*pl_module.parameters(), *pl_module.buffers(), *state, *rng]

    with pytest.warns(UserWarning, match="recording a step failed: operation not permitted"):
        module, said = train(made(**options), tiny_data(), tiny_trainer, Watched(), tape)
    assert [entry[0] for entry in said] == [entry[0] for entry in expected]
    assert module.state_dict()["objective.memories.r1._extra_state"] == {"updates": STEPS}
    assert plain.trainer.global_step == module.trainer.global_step == STEPS


def test_batches_of_many_shapes_are_played_beyond_a_few_recordings():
    shapes = [(n, *SHAPE) for n in range(1, MOST + 2)]
    played = []
    module = SimpleNamespace(
        play=lambda batch: played.append(len(batch["image"])), discriminator_calls=1
    )
    module.modules = lambda: []
    repeater = Repeater(module, TapeRecorder())
    repeater._record = lambda kind, batch: repeater._recordings.update({kind: Known()})
    for shape in shapes:
        for _ in range(WARM_UP + 3):
            repeater({"image": torch.zeros(shape)})
    assert played == [n for n in range(1, MOST + 1) for _ in range(WARM_UP)] + [MOST + 1] * 6
    assert repeater.recordings == MOST


class Known:
    def holds(self):
        return True

    def repeat(self, batch):
        pass


@pytest.mark.parametrize(
    ("device", "optimizer", "ranks", "reason"),
    [
        ("cuda", fused, 1, None),
        ("cpu", fused, 1, "need a CUDA device, and this one is cpu"),
        ("cuda", fused, 2, "several processes"),
        ("cuda", torch.optim.Adam, 1, "fused=true"),
    ],
)
def test_obstacles_are_named(device, optimizer, ranks, reason):
    module = SimpleNamespace(device=torch.device(device))
    found = obstacle(module, [optimizer([torch.zeros(1, requires_grad=True)])], ranks)
    assert found is None if reason is None else reason in found


def test_without_cuda_the_callback_warns_and_changes_nothing(tiny_data, tiny_trainer):
    plain, expected = train(made(), tiny_data(), tiny_trainer, steps=5)
    with pytest.warns(UserWarning, match="no effect: CUDA graphs need a CUDA device"):
        module, said = train(made(), tiny_data(), tiny_trainer, CudaGraph(), steps=5)
    assert said == expected
    assert_close(dict(module.state_dict()), dict(plain.state_dict()), rtol=0, atol=0)


def test_graphs_in_graphs_are_refused():
    compiled = Compile(backend="aot_eager", mode="reduce-overhead")
    with pytest.raises(UserError, match=r"callbacks\.compile\.mode=reduce-overhead"):
        CudaGraph().on_train_start(SimpleNamespace(callbacks=[compiled]), None)
