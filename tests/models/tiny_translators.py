"""The smallest translators and their data."""

import torch
from lightning.pytorch import LightningDataModule

from ganforge.data.loader import BatchLoader
from ganforge.data.store import Images
from ganforge.data.translation import PairLoader
from ganforge.losses.adversarial import LeastSquares, NonSaturating
from ganforge.losses.objective import AdversarialObjective
from ganforge.losses.regularizers import R1, Lazy, LeCam
from ganforge.models.cyclegan import CycleGAN
from ganforge.models.pix2pix import Pix2Pix
from ganforge.networks.patchgan import PatchGAN
from ganforge.networks.resnet import ResnetGenerator
from ganforge.networks.unet import UNetGenerator
from ganforge.utils.images import to_float

SIZE = 16
NETWORKS = ("a_to_b", "b_to_a", "critic_a", "critic_b")


class Domains(LightningDataModule):
    """Random uint8 domains of 12 and 9 images behind the project's own loader."""

    def __init__(self, batch_size=2, paired=False, channels_a=3):
        super().__init__()
        rng = torch.Generator().manual_seed(1)
        self.sides = [
            Images(
                torch.randint(256, (count, channels, SIZE, SIZE), generator=rng).byte(),
                None,
                None,
                "",
            )
            for count, channels in ((12, channels_a), (12 if paired else 9, 3))
        ]
        self.batch_size, self.paired = batch_size, paired

    def train_dataloader(self):
        a, b = (
            BatchLoader(side, self.batch_size, seed=seed, flip=True)
            for seed, side in enumerate(self.sides)
        )
        return PairLoader(a, b, SIZE, self.paired, 0, 0)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return {side: to_float(batch[side]) for side in "ab"}


def adam(parameters):
    return torch.optim.Adam(parameters, lr=2e-3, betas=(0.5, 0.999))


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05)


def make_cyclegan(seed=0, optimizer=adam, critic=PatchGAN, regularizers=None, **options):
    torch.manual_seed(seed)
    return CycleGAN(
        ResnetGenerator(3, 3, 4, 1, 1),
        ResnetGenerator(3, 3, 4, 1, 1),
        critic(3, 4, 1),
        critic(3, 4, 1),
        AdversarialObjective(LeastSquares(), regularizers),
        optimizer,
        optimizer,
        seed=seed,
        **options,
    )


def make_remembering(seed=0, **options):
    """A CycleGAN whose regularizers go by what they saw before."""
    memories = {"lazy": Lazy(R1(weight=5.0), every=3), "lecam": LeCam(decay=0.9)}
    return make_cyclegan(seed, regularizers=memories, **options)


def make_pix2pix(seed=0, optimizer=adam, dropout=0.5, **options):
    torch.manual_seed(seed)
    return Pix2Pix(
        UNetGenerator(1, 3, 3, 4, dropout),
        PatchGAN(3, 4, 1, channels_condition=1),
        AdversarialObjective(NonSaturating()),
        optimizer,
        optimizer,
        seed=seed,
        **options,
    )


def weights(module, names=NETWORKS):
    return {
        f"{name}.{key}": value.clone()
        for name in names
        for key, value in getattr(module, name).state_dict().items()
    }
