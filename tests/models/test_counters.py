import json

import pytest
import torch
from lightning.pytorch import Callback

from ganforge.callbacks.loggers import JsonlLogger


class CountedSteps(Callback):
    """Counts the real steps of both players' optimizers, and notes Lightning's number."""

    def on_train_start(self, trainer, pl_module):
        self.steps, self.seen = [0, 0], []
        for i, optimizer in enumerate(trainer.optimizers):
            optimizer.register_step_post_hook(lambda *_, i=i: self.add(i))

    def add(self, i):
        self.steps[i] += 1

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append((trainer.global_step, pl_module.images_seen, *self.steps))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("n_critic", [1, 3])
def test_a_step_is_one_generator_update(
    n_critic, precision, tiny_gan, tiny_data, tiny_trainer, tmp_path
):
    counted = CountedSteps()
    path = tmp_path / "metrics.jsonl"
    trainer = tiny_trainer(
        max_steps=11, callbacks=[counted], logger=JsonlLogger(path), precision=precision
    )
    module = tiny_gan(n_critic=n_critic)
    trainer.fit(module, datamodule=tiny_data(batch_size=4 * n_critic))

    assert counted.seen == [
        (step, step * 4 * n_critic, step, step * n_critic) for step in range(1, 12)
    ]
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["step"] for record in records] == list(range(1, 12))
    assert [record["kimg"] for record in records] == [
        pytest.approx(step * 4 * n_critic / 1000) for step in range(1, 12)
    ]


def test_log_every_n_steps_counts_generator_updates(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    path = tmp_path / "metrics.jsonl"
    trainer = tiny_trainer(max_steps=9, logger=JsonlLogger(path))
    trainer.log_every_n_steps = 4
    trainer.fit(tiny_gan(n_critic=2), datamodule=tiny_data(batch_size=8, batches=20))
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [4, 8]


def test_everything_of_an_update_is_logged(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    class Watch:
        weight = 0.0

        def __call__(self, critique):
            return torch.tensor(7.0)

    path = tmp_path / "metrics.jsonl"
    trainer = tiny_trainer(max_steps=1, logger=JsonlLogger(path))
    trainer.fit(tiny_gan({"watch": Watch()}), datamodule=tiny_data())
    (record,) = map(json.loads, path.read_text().splitlines())
    assert set(record) == {
        "step",
        "kimg",
        *(f"discriminator/{name}" for name in ("loss", "adversarial", "watch", "gradient_norm")),
        *("discriminator/D(x)", "discriminator/D(G(z))"),
        *("discriminator/logit(x)", "discriminator/logit(G(z))"),
        *(f"generator/{name}" for name in ("loss", "adversarial", "gradient_norm")),
    }
    assert record["discriminator/watch"] == 7
    assert record["discriminator/loss"] == record["discriminator/adversarial"]


def test_terms_enter_the_loss_with_their_weights(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    class Two:
        weight = 10.0

        def __call__(self, critique):
            return torch.tensor(2.0)

    path = tmp_path / "metrics.jsonl"
    trainer = tiny_trainer(max_steps=1, logger=JsonlLogger(path))
    trainer.fit(tiny_gan({"two": Two()}), datamodule=tiny_data())
    (record,) = map(json.loads, path.read_text().splitlines())
    expected = record["discriminator/adversarial"] + 20
    assert record["discriminator/loss"] == pytest.approx(expected, rel=1e-6)
    assert record["discriminator/two"] == 2


def test_a_reading_that_is_not_finite_harms_no_weight(tiny_gan, tiny_data, tiny_trainer):
    """0 × NaN is NaN: what has no weight must stay out of the sum."""

    class Broken:
        weight = 0.0

        def __call__(self, critique):
            return critique.real_logits.mean() * float("nan")

    module, plain = tiny_gan({"broken": Broken()}), tiny_gan()
    for each in (module, plain):
        tiny_trainer(max_steps=2).fit(each, datamodule=tiny_data())
    for broken, sound in zip(module.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(broken, sound, rtol=0, atol=0)


def test_checkpoint_carries_counters_and_plain_values(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    module = tiny_gan(n_critic=3)
    trainer = tiny_trainer(max_steps=5)
    trainer.fit(module, datamodule=tiny_data(batch_size=12))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert state["global_step"] == 5
    assert state["ganforge"]["images_seen"] == 5 * 12
    assert "hyper_parameters" not in state
    assert {key.split(".")[0] for key in state["state_dict"]} == {"generator", "discriminator"}


def test_training_continues_at_the_checkpoint(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    trainer = tiny_trainer(max_steps=5)
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    counted, path = CountedSteps(), tmp_path / "resumed.jsonl"
    trainer = tiny_trainer(max_steps=8, callbacks=[counted], logger=JsonlLogger(path))
    trainer.fit(tiny_gan(seed=1), datamodule=tiny_data(), ckpt_path=tmp_path / "last.ckpt")
    assert [seen[:2] for seen in counted.seen] == [(6, 24), (7, 28), (8, 32)]
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [6, 7, 8]


def test_observers_hear_of_every_update_while_its_gradients_are_there(
    tiny_gan, tiny_data, tiny_trainer
):
    heard = []

    def observe(player, readings, parameters):
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        heard.append((player, "adversarial" in readings, norm.item() > 0))

    module = tiny_gan(n_critic=2)
    module.observers.append(observe)
    tiny_trainer(max_steps=2).fit(module, datamodule=tiny_data())
    players = ["discriminator", "discriminator", "generator"] * 2
    assert heard == [(player, True, True) for player in players]
