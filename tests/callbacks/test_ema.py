import copy
import math

import pytest
import torch
from lightning.pytorch import Callback
from torch.testing import assert_close

from ganforge.callbacks.ema import EMA, averaged


class Record(Callback):
    """Keeps the generator's weights and buffers of every step."""

    def __init__(self):
        self.weights, self.buffers = [], []

    def on_train_start(self, trainer, pl_module):
        self.keep(pl_module)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.keep(pl_module)

    def keep(self, pl_module):
        self.weights.append([p.detach().clone() for p in pl_module.generator.parameters()])
        self.buffers.append([b.clone() for b in pl_module.generator.buffers()])


@pytest.mark.parametrize(
    ("ramp_up", "seen", "new", "expected"),
    [
        # One half-life of 2,000 images.
        (None, 10_000_000, 2000, 0.5),
        (None, 1, 1000, math.sqrt(0.5)),
        (None, 64, 64, 0.5 ** (64 / 2000)),
        # Early: half-life is 5 % of 10,000 images, which is 500.
        (0.05, 10_000, 500, 0.5),
        (0.05, 64, 64, 0.5**20),
        # Late: 5 % of a million is more than the half-life.
        (0.05, 1_000_000, 2000, 0.5),
        (0.05, 40_000, 2000, 0.5),
        (0.05, 0, 0, 1.0),
    ],
)
def test_decay_by_hand(ramp_up, seen, new, expected):
    assert EMA(2.0, ramp_up).decay(seen, new) == pytest.approx(expected)


def test_decay_depends_on_images_not_on_steps():
    ema = EMA(1.0, None)
    assert ema.decay(640, 64) ** 10 == pytest.approx(ema.decay(640, 640))


@pytest.mark.parametrize("half_life", [0, -1.0])
def test_half_life_must_be_positive(half_life):
    with pytest.raises(ValueError, match="half_life_kimg must be above 0"):
        EMA(half_life)


@pytest.mark.parametrize("ramp_up", [None, 0.5])
def test_averages_by_a_hand_loop(ramp_up, tiny_gan, tiny_data, tiny_trainer):
    ema, record = EMA(0.01, ramp_up), Record()
    module = tiny_gan(n_critic=2)
    tiny_trainer(max_steps=7, callbacks=[ema, record]).fit(module, datamodule=tiny_data(8))

    average = record.weights[0]
    for step, weights in enumerate(record.weights[1:], start=1):
        half_life = 10.0 if ramp_up is None else min(10.0, ramp_up * 8 * step)
        decay = 0.5 ** (8 / half_life)
        average = [decay * a + (1 - decay) * w for a, w in zip(average, weights, strict=True)]
    found = list(ema.averages["generator"].parameters())
    for ours, by_hand, last in zip(found, average, record.weights[-1], strict=True):
        assert_close(ours.data, by_hand, rtol=1e-5, atol=1e-6)
        assert not torch.equal(ours, last)


def norm_inputs(network, batches):
    """What reaches each batch norm of ``network``, a tensor a batch, in training mode."""
    network, seen = copy.deepcopy(network).train(), []
    norms = [part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.register_forward_pre_hook(lambda _, x: seen.append(x[0].double()))
    with torch.no_grad():
        for inputs in batches:
            network(*inputs)
    return [seen[i :: len(norms)] for i in range(len(norms))]


def test_batch_statistics_are_those_of_the_averaged_weights(tiny_gan, tiny_data, tiny_trainer):
    """By hand: mean and unbiased variance of what reaches each layer, the mean over batches."""
    ema, module = EMA(0.02, None), tiny_gan(networks="dcgan")
    tiny_trainer(max_steps=3, callbacks=[ema]).fit(module, datamodule=tiny_data(shape=(1, 32, 32)))
    average = ema.averages["generator"]
    batches = list(module.typical_inputs("generator"))
    ema.restate()
    norms = [part for part in average.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert len(norms) == 3
    for norm, inputs in zip(norms, norm_inputs(average, batches), strict=True):
        means = torch.stack([x.mean((0, 2, 3)) for x in inputs]).mean(0)
        variances = torch.stack([x.var((0, 2, 3)) for x in inputs]).mean(0)
        assert_close(norm.running_mean.double(), means, rtol=1e-4, atol=1e-6)
        assert_close(norm.running_var.double(), variances, rtol=1e-4, atol=1e-7)
    assert not average.training
    raw = list(module.generator.buffers())
    assert not any(torch.equal(a, b) for a, b in zip(average.buffers(), raw, strict=True)
                   if a.is_floating_point())  # fmt: skip


def test_a_look_and_a_checkpoint_have_the_same_statistics(
    tiny_gan, tiny_data, tiny_trainer, tmp_path
):
    """They are measured at a look, not before, once a step; training does not notice."""
    told, looks = [], []

    class Look(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.global_step == 2:
                for _ in range(2):
                    with averaged(trainer, pl_module):
                        state = pl_module.generator.state_dict()
                        looks.append({k: v.clone() for k, v in state.items()})
                trainer.save_checkpoint(tmp_path / "two.ckpt")

    module = tiny_gan(networks="dcgan")
    known = module.typical_inputs
    module.typical_inputs = lambda name: told.append(name) or known(name)
    data, torch_state = tiny_data(shape=(1, 32, 32)), torch.get_rng_state
    tiny_trainer(max_steps=3, callbacks=[EMA(), Look()]).fit(module, datamodule=data)
    assert told == ["generator"]
    saved = torch.load(tmp_path / "two.ckpt", weights_only=True)["callbacks"]["EMA"]["weights"]
    for look in looks:
        assert all(torch.equal(look[k], v) for k, v in saved["generator"].items())
    drawn, alone = torch_state(), tiny_gan(networks="dcgan")
    tiny_trainer(max_steps=3, callbacks=[EMA()]).fit(alone, datamodule=data)
    assert torch.equal(torch_state(), drawn)
    for ours, theirs in zip(module.parameters(), alone.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_without_batch_norm_nothing_is_measured(tiny_gan, tiny_data, tiny_trainer):
    ema, module = EMA(), tiny_gan()

    def unwanted(name):
        raise AssertionError("no input is needed")
        yield

    module.typical_inputs = unwanted
    trainer = tiny_trainer(max_steps=1, callbacks=[ema])
    trainer.fit(module, datamodule=tiny_data())
    with averaged(trainer, module):
        module.generate(torch.zeros(1, 5))


def test_unknown_buffers_are_copied(tiny_gan, tiny_data, tiny_trainer):
    """Also the batch statistics of a network whose inputs the model does not know."""
    ema, module = EMA(networks=["discriminator"]), tiny_gan(networks="dcgan")
    tiny_trainer(max_steps=2, callbacks=[ema]).fit(module, datamodule=tiny_data(shape=(1, 32, 32)))
    ema.restate()
    pairs = zip(
        ema.averages["discriminator"].buffers(), module.discriminator.buffers(), strict=True
    )
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_averages_are_no_part_of_the_module(tiny_gan, tiny_data, tiny_trainer):
    ema, module = EMA(), tiny_gan()
    before = set(module.state_dict())
    tiny_trainer(max_steps=2, callbacks=[ema]).fit(module, datamodule=tiny_data())
    assert set(module.state_dict()) == before
    average = ema.averages["generator"]
    assert all(average is not m for m in module.modules())
    assert not any(p.requires_grad for p in average.parameters())
    assert not average.training


def test_applied_swaps_and_restores(tiny_gan, tiny_data, tiny_trainer):
    ema, module = EMA(), tiny_gan()
    trainer = tiny_trainer(max_steps=2, callbacks=[ema])
    trainer.fit(module, datamodule=tiny_data())
    original = module.generator
    with averaged(trainer, module) as used:
        assert used
        assert module.generator is ema.averages["generator"]
        assert module.discriminator is not original
    assert module.generator is original
    with pytest.raises(RuntimeError, match="inside"), ema.applied(module):
        raise RuntimeError("inside")
    assert module.generator is original


def test_without_the_callback_the_weights_themselves_are_used(tiny_gan, tiny_trainer):
    module = tiny_gan()
    original = module.generator
    with averaged(tiny_trainer(), module) as used:
        assert not used
        assert module.generator is original


def test_state_round_trip(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    """A checkpoint holds averages and their count; a resumed run averages on from there."""
    ema, module = EMA(), tiny_gan()
    trainer = tiny_trainer(max_steps=3, callbacks=[ema])
    trainer.fit(module, datamodule=tiny_data())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["callbacks"]["EMA"]
    assert state["images_averaged"] == 12
    for name, value in ema.averages["generator"].state_dict().items():
        assert_close(state["weights"]["generator"][name], value, rtol=0, atol=0)

    class AtStart(Callback):
        def on_train_start(self, trainer, pl_module):
            self.found = {
                k: v.clone() for k, v in resumed.averages["generator"].state_dict().items()
            }

    resumed, start = EMA(), AtStart()
    trainer = tiny_trainer(max_steps=4, callbacks=[resumed, start])
    trainer.fit(tiny_gan(seed=9), datamodule=tiny_data(), ckpt_path=tmp_path / "last.ckpt")
    for name, value in start.found.items():
        assert_close(value, state["weights"]["generator"][name], rtol=0, atol=0)
    assert resumed.state_dict()["images_averaged"] == 16


def test_several_networks(tiny_gan, tiny_data, tiny_trainer):
    ema = EMA(networks=("generator", "discriminator"))
    tiny_trainer(max_steps=1, callbacks=[ema]).fit(tiny_gan(), datamodule=tiny_data())
    assert set(ema.averages) == {"generator", "discriminator"}


def test_averages_share_the_memory_format(tiny_gan, tiny_data, tiny_trainer):
    """Mixed formats would make every average's update and sampling slow."""
    ema, module = EMA(), tiny_gan(networks="dcgan", channels_last=True)
    tiny_trainer(max_steps=1, callbacks=[ema]).fit(module, datamodule=tiny_data(shape=(1, 32, 32)))
    pairs = zip(ema.averages["generator"].parameters(), module.generator.parameters(), strict=True)
    assert all(a.stride() == b.stride() for a, b in pairs)
