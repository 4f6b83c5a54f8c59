"""Where random numbers come from: of one seed many streams, which have nothing in common.

A stream is named by (seed, rank, purpose) and, where it begins anew, by whole numbers that say
where: an epoch, a position. NumPy's ``SeedSequence`` mixes them, so that neither neighbouring seeds
nor ranks nor purposes meet: rank 1 of seed 0 does not draw what rank 0 of seed 1 draws. What all
processes draw alike has rank 0. Left out are what a data set holds and which real images a score
takes, as these are named by seed in caches and in published scores.
"""

import zlib

import numpy as np
import torch
from lightning.pytorch import seed_everything

from ganforge.utils.errors import UserError


def sequence(seed: int, rank: int, purpose: str, *place: int) -> np.random.SeedSequence:
    """The root of one stream. A purpose counts by its CRC-32, which no release changes."""
    if seed < 0:
        raise UserError(f"seed={seed} must be a whole number from 0 on")
    # As a spawn key: a list as entropy is filled up with zeros, where [1, 2] equals [1, 2, 0].
    key = (rank, zlib.crc32(purpose.encode()), *place)
    return np.random.SeedSequence(seed, spawn_key=key)


def number(seed: int, rank: int, purpose: str, *place: int) -> int:
    """A seed of 32 bits for what takes a number: torch's generators of the CPU read no more."""
    return int(sequence(seed, rank, purpose, *place).generate_state(1)[0])


def torch_rng(
    seed: int, rank: int, purpose: str, *place: int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A new generator at the beginning of a stream."""
    return torch.Generator(device).manual_seed(number(seed, rank, purpose, *place))


def numpy_rng(seed: int, rank: int, purpose: str, *place: int) -> np.random.Generator:
    """The same of NumPy's."""
    return np.random.default_rng(sequence(seed, rank, purpose, *place))


def seed_globals(seed: int, rank: int, purpose: str) -> None:
    """Let Python's, NumPy's and torch's global generators begin a stream."""
    seed_everything(number(seed, rank, purpose), workers=True, verbose=False)


def picture_rng(seed: int) -> torch.Generator:
    """What ``ganforge generate seed=…`` draws from: the bare seed, which names its picture."""
    return torch.Generator().manual_seed(seed)
