"""Run by test_ddp.py in two processes: trains on, and writes what each rank saw."""

import json
import sys
from pathlib import Path

import torch
from lightning.pytorch import Callback

sys.path.insert(0, str(Path(__file__).parents[1]))
from ganforge.callbacks.checkpoints import Checkpoints
from ganforge.callbacks.ema import EMA
from ganforge.callbacks.image_quality import ImageQuality
from ganforge.losses.regularizers import R1
from ganforge.metrics.features import Features
from ganforge.metrics.scores import FID
from tiny import RandomImages, make_gan, make_trainer


class Pixels:
    """Every 128th pixel as a feature."""

    name, sha256, size, resize, dim = "pixels", "0" * 64, 32, "none", 8

    def to(self, device):
        return self

    def __call__(self, images):
        return Features(images.flatten(1)[:, ::128].float(), None)


class Noise(Callback):
    """Remembers the noise that training begins with."""

    def on_train_start(self, trainer, pl_module):
        state = pl_module.noise.get_state()
        self.drawn = pl_module.draw_latents(2, pl_module.noise).flatten().tolist()
        pl_module.noise.set_state(state)


class OneHalf(RandomImages):
    """Gives every rank its own images."""

    def train_dataloader(self):
        self.images = self.images[self.trainer.global_rank :: self.trainer.world_size]
        return super().train_dataloader()


class Own(ImageQuality):
    """Remembers what this process measured, before all take the first one's scores."""

    def __init__(self, folder):
        super().__init__(
            Pixels(), folder / "scores.json", None, [FID()], every_n_steps=1, n_images=600
        )
        self.own = []

    def measure(self, trainer, pl_module, step):
        scores = super().measure(trainer, pl_module, step)
        self.own.append(scores[0].value)
        return scores


def build():
    return make_gan({"r1": R1()}, networks="dcgan", n_critic=2)


def fit(folder, max_steps, ckpt_path=None):
    data = OneHalf(batch_size=8, batches=64, shape=(1, 32, 32))
    quality = Own(folder)
    callbacks = [Noise(), EMA(), quality, Checkpoints(folder, every_n_steps=2)]
    trainer = make_trainer(
        folder,
        max_steps=max_steps,
        callbacks=callbacks,
        devices=2,
        strategy="ddp_find_unused_parameters_true",
        use_distributed_sampler=False,
        precision="bf16-mixed",
    )
    module = build()
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path)
    weights = torch.cat([p.detach().flatten() for p in module.parameters()])
    return trainer, {
        "weights": weights.double().sum().item(),
        "moved": weights.double().abs().sum().item(),
        "noise": callbacks[0].drawn,
        "next_noise": module.draw_latents(2, module.noise).flatten().tolist(),
        "images_seen": module.images_seen,
        "best": quality.best.step,
        "scores": [score.value for score in quality.history],
        "own": quality.own,
    }


if __name__ == "__main__":
    out, steps, *checkpoint = sys.argv[1:]
    trainer, seen = fit(Path(out), int(steps), *checkpoint)
    (Path(out) / f"rank{trainer.global_rank}_{steps}.json").write_text(json.dumps(seen))
