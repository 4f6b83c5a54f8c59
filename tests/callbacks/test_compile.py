import pytest
from lightning.pytorch import Callback

from ganforge.callbacks.compile import Compile
from ganforge.callbacks.ema import EMA
from ganforge.losses.regularizers import R1
from ganforge.utils.errors import UserError


class Losses(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, *_):
        names = ("discriminator/loss", "generator/loss")
        self.seen.append([trainer.callback_metrics[name].item() for name in names])


def fit(tiny_gan, tiny_data, tiny_trainer, *callbacks, steps=4, **options):
    module, losses = tiny_gan(**options), Losses()
    trainer = tiny_trainer(max_steps=steps, callbacks=[EMA(), *callbacks, losses])
    trainer.fit(module, datamodule=tiny_data())
    return module, losses.seen


def test_a_compiled_generator_trains_alike(tiny_gan, tiny_data, tiny_trainer):
    """With the backend that traces both passes but writes no C++."""
    plain, expected = fit(tiny_gan, tiny_data, tiny_trainer)
    compiled = Compile(backend="aot_eager")
    module, found = fit(tiny_gan, tiny_data, tiny_trainer, compiled)
    assert module.generator._compiled_call_impl is not None
    assert found == [pytest.approx(losses, rel=1e-5) for losses in expected]
    assert list(module.state_dict()) == list(plain.state_dict())


def test_a_critic_that_is_differentiated_twice_is_refused(tiny_gan, tiny_data, tiny_trainer):
    critic = Compile(networks=["generator", "discriminator"], backend="aot_eager")
    with pytest.raises(UserError, match="regularizer r1 may differentiate it twice"):
        fit(tiny_gan, tiny_data, tiny_trainer, critic, regularizers={"r1": R1()})
    module, _ = fit(tiny_gan, tiny_data, tiny_trainer, critic, steps=1)
    assert module.discriminator._compiled_call_impl is not None


def test_a_network_that_is_not_there_is_named(tiny_gan, tiny_data, tiny_trainer):
    with pytest.raises(UserError, match=r"'a_to_b'.*generator, discriminator"):
        fit(tiny_gan, tiny_data, tiny_trainer, Compile(networks=["a_to_b"]))


def test_a_cpu_without_compiler_is_told(tiny_gan, tiny_data, tiny_trainer, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"no 'no-such-compiler'"):
        fit(tiny_gan, tiny_data, tiny_trainer, Compile())
