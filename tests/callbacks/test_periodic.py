import pytest

from ganforge.callbacks.periodic import Periodic


class Noted(Periodic):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.steps = []

    def act(self, trainer, pl_module, step):
        assert step == trainer.global_step
        self.steps.append(step)


@pytest.mark.parametrize(
    ("every", "at_start", "max_steps", "steps"),
    [
        (3, False, 7, [3, 6, 7]),
        (3, True, 7, [0, 3, 6, 7]),
        (3, True, 6, [0, 3, 6]),
        (1, True, 2, [0, 1, 2]),
        (100, False, 4, [4]),
    ],
)
def test_acts_once_a_period_and_at_the_end(
    every, at_start, max_steps, steps, tiny_gan, tiny_data, tiny_trainer
):
    noted = Noted(every, at_start)
    trainer = tiny_trainer(max_steps=max_steps, callbacks=[noted])
    trainer.fit(tiny_gan(n_critic=2), datamodule=tiny_data())
    assert noted.steps == steps


def test_a_resumed_run_does_not_act_at_its_start(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    trainer = tiny_trainer(max_steps=4)
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    noted = Noted(2, at_start=True)
    tiny_trainer(max_steps=7, callbacks=[noted]).fit(
        tiny_gan(), datamodule=tiny_data(), ckpt_path=tmp_path / "last.ckpt"
    )
    assert noted.steps == [6, 7]


def test_period_must_be_positive():
    with pytest.raises(ValueError, match="every_n_steps of Noted must be at least 1, not 0"):
        Noted(0)
