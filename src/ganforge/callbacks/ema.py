"""Exponential moving average of the generator's weights, measured in images shown."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from ganforge.callbacks.lookup import callback_of
from ganforge.callbacks.standing_statistics import restate


class EMA(Callback):
    """Averages the named networks; samples and scores are made with the averages.

    The weight of an image that was shown ``half_life_kimg`` thousand images ago is one half. Early
    on the half-life is at most ``ramp_up`` of the images shown so far (Karras et al. 2020, ADA), so
    that the first weights are forgotten.

    Buffers are copied, but for batch statistics: those of the trained weights do not fit averaged
    ones. They are measured before each look at the averages and before these are saved, from
    inputs that are always the same (``standing_statistics``): whoever loads the averages has them.
    """

    def __init__(
        self,
        half_life_kimg: float = 10.0,
        ramp_up: float | None = 0.05,
        networks: Sequence[str] = ("generator",),
    ) -> None:
        if half_life_kimg <= 0:
            raise ValueError(f"callbacks.ema.half_life_kimg must be above 0, not {half_life_kimg}")
        self.half_life_kimg = half_life_kimg
        self.ramp_up = ramp_up
        self.names = tuple(networks)
        self.averages: dict[str, nn.Module] = {}
        self._images_averaged = 0
        self._loaded: dict[str, dict[str, Tensor]] = {}
        self._module: LightningModule | None = None
        self._restated = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Start from the networks' own weights, or from those of a checkpoint."""
        self._module, self._restated = pl_module, bool(self._loaded)
        for name in self.names:
            average = copy.deepcopy(getattr(pl_module, name)).requires_grad_(False).eval()
            if name in self._loaded:
                average.load_state_dict(self._loaded[name])
            self.averages[name] = average.to(pl_module.device)
        self._loaded = {}

    def decay(self, images_seen: int, images_new: int) -> float:
        """Weight of the old average after ``images_new`` images, the last of ``images_seen``."""
        half_life = self.half_life_kimg * 1000
        if self.ramp_up is not None:
            half_life = min(half_life, self.ramp_up * images_seen)
        return 0.5 ** (images_new / max(half_life, 1e-8))

    @torch.no_grad()
    def on_train_batch_end(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,
        outputs: Any,  # noqa: ARG002
        batch: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Move the averages towards the weights of this step."""
        new = pl_module.images_seen - self._images_averaged
        self._images_averaged = pl_module.images_seen
        self.outdate()
        weight = 1 - self.decay(pl_module.images_seen, new)
        for name, average in self.averages.items():
            network = getattr(pl_module, name)
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), weight)
            for old, current in zip(average.buffers(), network.buffers(), strict=True):
                old.copy_(current)

    def outdate(self) -> None:
        """Tell that the averages have other weights than before."""
        self._restated = False

    def restate(self) -> None:
        """Measure the batch statistics of the averages unless that was done since they moved.

        Every process does so by itself, from the same inputs: it may be the only one that looks.
        """
        if not self._restated:
            for name, average in self.averages.items():
                restate(average, self._module.typical_inputs(name))
            self._restated = True

    @contextmanager
    def applied(self, pl_module: LightningModule) -> Iterator[None]:
        """Put the averages in the networks' place for the time of the block."""
        self.restate()
        originals = {name: getattr(pl_module, name) for name in self.averages}
        try:
            for name, average in self.averages.items():
                setattr(pl_module, name, average)
            yield
        finally:
            for name, original in originals.items():
                setattr(pl_module, name, original)

    def state_dict(self) -> dict[str, Any]:
        """The averages as they are looked at, and how far they have come."""
        self.restate()
        weights = {name: average.state_dict() for name, average in self.averages.items()}
        return {"weights": weights, "images_averaged": self._images_averaged}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the averages until the networks are there."""
        self._loaded = state_dict["weights"]
        self._images_averaged = state_dict["images_averaged"]


@contextmanager
def averaged(trainer: Trainer, pl_module: LightningModule) -> Iterator[bool]:
    """Use the averages of an EMA callback in the block; yields whether there is one."""
    ema = callback_of(trainer, EMA)
    if ema is None:
        yield False
        return
    with ema.applied(pl_module):
        yield True
