"""Run by test_ddp.py in two processes: what remembers, trained in one go or in two."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from ganforge.augment.ada import ADA
from ganforge.callbacks.checkpoints import Checkpoints
from ganforge.callbacks.ema import EMA
from ganforge.losses.regularizers import LeCam
from tiny import RandomImages, make_gan, make_trainer


class OwnBatch(RandomImages):
    """One batch an epoch, another one on every rank: a resumed run sees what it would have seen."""

    def train_dataloader(self):
        self.images = self.images[self.trainer.global_rank :: self.trainer.world_size]
        loader = super().train_dataloader()
        loader.generator = torch.Generator()  # else an epoch's start draws from the global one
        return loader


def fit(folder, steps, ckpt_path=None):
    data = OwnBatch(batch_size=16, batches=1, shape=(1, 32, 32))
    trainer = make_trainer(
        folder,
        max_steps=steps,
        callbacks=[EMA(0.05, None), Checkpoints(folder, every_n_steps=100)],
        devices=2,
        strategy="ddp_find_unused_parameters_true",
        use_distributed_sampler=False,
    )
    ada = ADA(speed_kimg=0.1, interval=2)
    module = make_gan({"lecam": LeCam()}, ada, networks="dcgan")
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return trainer.global_rank, module.state_dict()


if __name__ == "__main__":
    out, steps, *checkpoint = sys.argv[1:]
    rank, state = fit(Path(out), int(steps), *checkpoint)
    torch.save(state, Path(out) / f"state{rank}.pt")
