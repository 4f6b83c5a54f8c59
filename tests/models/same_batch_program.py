"""Run by test_ddp.py on one and on two processes: 20 steps on the same 64 images each."""

import json
import sys
from pathlib import Path

import torch
from lightning.pytorch import Callback

sys.path.insert(0, str(Path(__file__).parents[1]))
from ganforge.callbacks.ema import EMA
from ganforge.data.module import ImageDataModule
from ganforge.data.source import Chunk, Names
from ganforge.training.devices import SharedBatchNorm
from tiny import make_gan, make_trainer

STEPS, BATCH = 20, 64


class Blobs:
    """Grey pictures of 32×32 that are no noise; image i has i in its first pixel."""

    label = None

    def check(self, size, channels):
        pass

    def key(self):
        return {"blobs": 1}

    def chunks(self, split, size, channels):
        rng = torch.Generator().manual_seed(0)
        small = torch.rand(256, 1, 4, 4, generator=rng)
        images = torch.nn.functional.interpolate(small, size=(32, 32), mode="bilinear")
        images = images.mul(255).byte()
        images[:, 0, 0, 0] = torch.arange(256)
        yield Chunk(images.numpy())

    def names(self):
        return Names()


class Readings(Callback):
    """Losses, images and statistics of every step."""

    def __init__(self):
        self.losses, self.shown = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        names = ("discriminator/loss", "generator/loss")
        self.losses.append([trainer.callback_metrics[name].item() for name in names])
        self.shown.append(batch["index"].tolist())


def adam(parameters):
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999))


def fit(folder, processes):
    module = make_gan(
        networks="dcgan", seed=1, optimizer_generator=adam, optimizer_discriminator=adam
    )
    noise = torch.Generator().manual_seed(2)

    def fixed_noise(count, rng):
        z = torch.randn(BATCH, module.latent_dim, generator=noise)
        return z[module.global_rank * count :][:count]

    module.draw_latents = fixed_noise
    data = ImageDataModule("blobs", Blobs(), (1, 32, 32), folder, BATCH // processes, 1, 32)
    options = {"plugins": [SharedBatchNorm()]} if processes > 1 else {}
    readings, ema = Readings(), EMA(half_life_kimg=1.0)
    trainer = make_trainer(
        folder,
        max_steps=STEPS,
        callbacks=[readings, ema],
        devices=processes,
        strategy="ddp_find_unused_parameters_true" if processes > 1 else "auto",
        **options,
    )
    trainer.fit(module, datamodule=data)
    average = ema.averages["generator"].state_dict().values()
    return trainer.global_rank, {
        "losses": readings.losses,
        "shown": readings.shown,
        "average": [value.double().sum().item() for value in average],
    }


if __name__ == "__main__":
    out, processes = Path(sys.argv[1]), int(sys.argv[2])
    rank, seen = fit(out, processes)
    (out / f"{processes}_{rank}.json").write_text(json.dumps(seen))
