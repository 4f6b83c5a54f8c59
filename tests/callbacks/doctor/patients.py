"""Trainings that are made to fail on purpose, and healthy ones, each in minutes at most."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback
from PIL import Image

from ganforge.callbacks.doctor.callback import Doctor
from ganforge.config.build import build
from ganforge.training.fit import build_trainer, keep_quiet
from ganforge.utils.runs import Run
from helpers import composed

STEPS = 500
RECIPE = [
    "experiment=dcgan_quickstart",
    "data.batch_size=16",
    "model.generator.width=8",
    "model.discriminator.width=8",
    "~callbacks.image_quality",
    "~callbacks.sample_grid",
]
FACES = [*RECIPE, "data.source.train_count=2000", "data.source.test_count=500"]
PLAIN = [*FACES, "norm=batch", "loss=non_saturating", "augment=none"]


class NaNAt(Callback):
    """Puts a NaN into the critic once."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.step:
            next(pl_module.discriminator.parameters()).data.view(-1)[0] = torch.nan
            self.step = None


def no_noise(module):
    draw = module.draw_latents
    module.draw_latents = lambda count, rng: torch.zeros_like(draw(count, rng))


def swap_labels(module):
    tell = module.objective.loss.discriminator
    module.objective.loss.discriminator = lambda real, fake: tell(fake, real)


def kill_relus(module):
    """A large negative bias before every ReLU of the generator: nothing passes, nothing learns."""
    for layer in module.generator.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.bias.data.fill_(-100.0)


def one_picture(folder: Path) -> list[str]:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    (folder / "same").mkdir(parents=True, exist_ok=True)
    for i in range(80):
        Image.fromarray(pixels).save(folder / "same" / f"{i}.png")
    return ["data=image_folder", f"data.source.path={folder / 'same'}", "data.size=32"]


@dataclass(frozen=True)
class Patient:
    overrides: Sequence[str]
    sabotage: Callable | None = None
    callbacks: Sequence[Callable] = ()
    data: Callable[[Path], list[str]] | None = None
    expected: set[str] = field(default_factory=set)
    steps: int = STEPS


# What the doctor must call each failure; any of the names will do where it has several faces.
FAILURES = {
    "rate_x50": Patient(
        [
            *FACES,
            "model.optimizer_generator.lr=0.025",
            "model.optimizer_discriminator.lr=0.05",
        ],
        expected={"players_race", "gradients_explode", "not_finite"},
    ),
    "no_noise": Patient(FACES, sabotage=no_noise, expected={"noise_ignored"}),
    "frozen_generator": Patient(
        [*FACES, "model.optimizer_generator.lr=0"], expected={"generator_stuck"}
    ),
    "labels_swapped": Patient(FACES, sabotage=swap_labels, expected={"critic_fooled"}),
    "critic_far_larger": Patient(
        [
            *PLAIN,
            "model.generator.width=4",
            "model.discriminator.width=32",
            "model.optimizer_generator.lr=2e-4",
        ],
        expected={"critic_wins"},
    ),
    "nan_injected": Patient(
        FACES, callbacks=[lambda: NaNAt(110)], expected={"not_finite"}, steps=200
    ),
    "dead_relus": Patient(FACES, sabotage=kill_relus, expected={"noise_ignored"}),
    "one_picture": Patient(RECIPE, data=one_picture, expected={"data_alike"}, steps=100),
    "wgan_without_penalty": Patient(
        [*PLAIN, "loss=wasserstein", "norm=none"], expected={"logits_explode"}
    ),
    "critic_frozen": Patient(
        [*FACES, "model.optimizer_discriminator.lr=0"],
        expected={"critic_fooled", "critic_stuck"},
    ),
}
TOY = ["~callbacks.theory"]
# The residual models, narrow so that 500 steps take minutes at most.
RESIDUAL = [
    "data.size=32",
    "data.batch_size=16",
    "data.source.train_count=2000",
    "data.source.test_count=500",
    "model.generator.width=8",
    "model.discriminator.width=8",
    "~callbacks.image_quality",
    "~callbacks.sample_grid",
]
HEALTHY = {
    "faces": Patient(FACES),
    "gaussian1d": Patient(["experiment=gaussian1d", *TOY]),
    "ring2d": Patient(["experiment=ring2d", *TOY]),
    "sngan": Patient(["model=sngan", *RESIDUAL, "model.n_critic=1"]),
    # With one critic update a step its critic does fall behind, and the doctor says so.
    "wgan_gp": Patient(["model=wgan_gp", *RESIDUAL]),
    "r3gan": Patient(["model=r3gan", *RESIDUAL]),
}


def treat(patient: Patient, output: Path, data: Path, seed: int = 0) -> Doctor:
    """Train and return the doctor, with all that it saw."""
    keep_quiet()
    more = patient.data(output) if patient.data else []
    overrides = [
        *patient.overrides, *more, "logger=[]", "trainer.precision=32-true",
        "trainer.accelerator=cpu", f"trainer.max_steps={patient.steps}", f"seed={seed}",
        "~callbacks.checkpoints", "~callbacks.progress", "~callbacks.health",
    ]  # fmt: skip
    config = composed("train", overrides, output, data)
    torch.manual_seed(seed)
    module, images = build(config.model), build(config.data)
    if patient.sabotage:
        patient.sabotage(module)
    trainer = build_trainer(config, Run(output))
    trainer.callbacks.extend(make() for make in patient.callbacks)
    trainer.fit(module, datamodule=images)
    return next(c for c in trainer.callbacks if isinstance(c, Doctor))
