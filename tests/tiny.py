"""The smallest model, data and trainer: what fixtures make, and programs that have none."""

import hashlib

import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from ganforge.data.source import SPLITS
from ganforge.data.splits import SplitDataModule
from ganforge.data.store import Images
from ganforge.losses.adversarial import NonSaturating
from ganforge.losses.objective import AdversarialObjective
from ganforge.models.gan import GAN
from ganforge.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from ganforge.networks.mlp import MLPDiscriminator, MLPGenerator
from ganforge.utils.images import to_float

SHAPE = (1, 8, 8)


class RandomImages(SplitDataModule):
    """Eight batches an epoch of random uint8 images, given to the model as floats in [-1, 1]."""

    def __init__(self, batch_size=4, batches=8, shape=SHAPE):
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        count = batch_size * batches
        self.shape = shape
        self.images = torch.randint(256, (count, *shape), generator=rng, dtype=torch.uint8)
        self.batch_size = batch_size
        digest = hashlib.sha256(self.images.numpy().tobytes()).hexdigest()
        self._opened = dict.fromkeys(SPLITS, Images(self.images, None, None, digest))

    def setup(self, stage=None):
        """Everything is there."""

    def train_dataloader(self):
        batches = [{"image": to_float(batch)} for batch in self.images.split(self.batch_size)]
        return DataLoader(batches, batch_size=None, shuffle=False)


def make_gan(regularizers=None, augment=None, loss=None, networks="mlp", seed=0, **options):
    torch.manual_seed(seed)
    if networks == "mlp":
        generator = MLPGenerator(5, SHAPE, [16], torch.nn.Tanh())
        discriminator = MLPDiscriminator(SHAPE, [16], dropout=0.3)
    else:
        generator = DCGANGenerator(5, 1, 32, width=4)
        discriminator = DCGANDiscriminator(1, 32, width=4)
    objective = AdversarialObjective(loss or NonSaturating(), regularizers, augment)

    def adam(parameters):
        return torch.optim.Adam(parameters, lr=1e-3, betas=(0.5, 0.999))

    options = {"optimizer_generator": adam, "optimizer_discriminator": adam, **options}
    return GAN(generator, discriminator, objective, latent_dim=5, seed=seed, **options)


def make_trainer(folder, max_steps=6, callbacks=(), logger=False, precision="32-true", **options):
    return Trainer(
        max_steps=max_steps,
        max_epochs=-1,
        accelerator="cpu",
        precision=precision,
        callbacks=list(callbacks),
        logger=logger,
        log_every_n_steps=1,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **{"devices": 1, **options},
    )


def shown_by(pool, images):
    """What an image pool makes of a batch, its choice included."""
    pool.choose(len(images), images.device)
    return pool(images)
