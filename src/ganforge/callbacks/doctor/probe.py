"""Looks at samples now and then: how diverse they are, whether they move, what D remembers."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from ganforge.metrics.sets import labels_for
from ganforge.models.gan import GAN
from ganforge.models.latent import LatentModel
from ganforge.models.translator import Translator
from ganforge.utils.images import to_float
from ganforge.utils.modes import evaluating
from ganforge.utils.seeds import number, torch_rng

THUMBNAIL = 8  # side, in pixels, of what images are compared at


def thumbnails(samples: Tensor) -> Tensor:
    """Images ``N×C×H×W`` shrunk to 8×8 and flattened; points ``N×D`` as they are. Float, on CPU."""
    samples = samples.float()
    if samples.dim() == 4:
        samples = F.adaptive_avg_pool2d(samples, THUMBNAIL)
    return samples.flatten(1).cpu()


def spread(features: Tensor) -> float:
    """Mean distance of two different rows."""
    return F.pdist(features).mean().item()


@contextmanager
def unchanged_randomness(device: torch.device) -> Iterator[None]:
    """Leave the global random states as they were: measuring must not change training."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(number(0, 0, "doctor"))
        yield


class Probe:
    """Samples of fixed latents (or translations of fixed images) beside real images.

    A side is a domain of a translator; a latent model has one, without a name. ``data_spread`` is
    the smallest over the sides of the real images' mean distance, over their root mean square;
    ``distance`` is theirs at full size, in the critic's unit.
    """

    def __init__(self, samples: int, seed: int) -> None:
        self.samples, self.seed = samples, seed
        self.data_spread = math.nan
        self.distance = 0.0
        self._real: dict[str, Tensor] = {}
        self._sources: dict[str, Tensor] = {}
        self._seen: Tensor | None = None
        self._unseen: Tensor | None = None
        self._train_count = 1
        self._last: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] = {}

    def prepare(self, trainer: Trainer, module: LightningModule) -> None:
        """Take the real images; data modules without ``take`` or ``domain`` are left alone.

        Small batches mean cheap steps: fewer samples are looked at then.
        """
        data = trainer.datamodule
        batch_size = getattr(data, "batch_size", self.samples)
        if isinstance(module, Translator) and hasattr(data, "domain"):
            self.samples = max(8, min(self.samples, 4 * batch_size))
            self._take_domains(data, module)
        elif hasattr(data, "take"):
            self.samples = max(8, min(self.samples, 2 * batch_size))
            self._take_splits(data)
        scales = {s: r.square().sum(1).mean().sqrt().item() for s, r in self._real.items()}
        shares = [spread(self._real[s]) / scale if scale else 0.0 for s, scale in scales.items()]
        self.data_spread = min(shares, default=math.nan)

    def _take_splits(self, data: Any) -> None:
        self._train_count = len(data.split("train"))
        count = min(2 * self.samples, self._train_count)
        self._seen = data.take("train", count, self.seed)
        unseen = min(count, len(data.split("test")))
        self._unseen = data.take("test", unseen, self.seed) if unseen else None
        self._real[""] = thumbnails(self._seen)
        self.distance = spread(_as_input(self._seen, torch.device("cpu")).flatten(1))

    def _take_domains(self, data: Any, module: LightningModule) -> None:
        for way in module.translators:
            source, _, target = way.partition("_to_")
            for side, store in ((source, self._sources), (target, self._real)):
                images = data.domain(side).split("train").images
                count = min(self.samples, len(images))
                chosen = torch.linspace(0, len(images) - 1, count).long()
                store[side] = images[chosen]
            self._real[target] = thumbnails(self._real[target])

    def look(self, module: LightningModule) -> dict[str, dict[str, float]]:
        """Diversity, movement and memory of every side, by the names of ``Vitals``."""
        with unchanged_randomness(module.device):
            fakes = self._fakes(module)
            return {side: self._compare(module, side, fake) for side, fake in fakes.items()}

    def updates(self, optimizers: Sequence[Optimizer]) -> dict[str, float]:
        """How far each player's weights came since the last call, by the sums of its tensors."""
        readings = {}
        for player, optimizer in zip(("generator", "critic"), optimizers, strict=False):
            groups = optimizer.param_groups
            sums = torch.stack([p.detach().float().sum() for g in groups for p in g["params"]])
            sums = sums.cpu()
            before = self._sums.get(player)
            if before is not None and before.shape == sums.shape:
                change = (sums - before).abs().sum() / before.abs().sum().clamp_min(1e-12)
                readings[f"{player}_update"] = change.item()
            self._sums[player] = sums
        return readings

    def _fakes(self, module: LightningModule) -> dict[str, Tensor]:
        if self._sources:
            ways = {way: way.partition("_to_") for way in module.translators}
            return {
                target: module.translate(self._sources[source], way)
                for way, (source, _, target) in ways.items()
            }
        if not self._real or not isinstance(module, LatentModel):
            return {}
        rng = torch_rng(self.seed, 0, "doctor")
        z = module.draw_latents(self.samples, rng)
        return {"": module.generate(z, *labels_for(module, self.samples, self.seed))}

    def _compare(self, module: LightningModule, side: str, fake: Tensor) -> dict[str, float]:
        unit = spread(self._real[side])
        features = thumbnails(fake)
        last, self._last[side] = self._last.get(side), features
        if not unit or not features.isfinite().all():
            return {}
        readings = {"diversity": spread(features) / unit}
        if last is not None and last.shape == features.shape:
            readings["movement"] = (features - last).norm(dim=1).mean().item() / unit
        if self._unseen is not None and isinstance(module, GAN) and module.num_classes is None:
            readings["memory"] = self._memory(module, fake)
        return readings

    def _memory(self, module: LightningModule, fake: Tensor) -> float:
        """(E[D(train)] - E[D(test)]) / (E[D(train)] - E[D(G(z))]).

        NaN where the critic tells training images from fakes by too little for the images that were
        looked at: the quotient of two differences near 0 says nothing.
        """
        critic = module.discriminator
        with evaluating(critic), torch.no_grad():
            seen, unseen, made = (
                critic(_as_input(images, module.device)).float()
                for images in (self._seen, self._unseen, fake)
            )
        gap = seen.mean() - made.mean()
        # The standard error of E[D(train)] - E[D(test)]; all training images leave no doubt.
        known = 1 / len(seen) - 1 / self._train_count
        error = seen.var(correction=0) * known + unseen.var(correction=0) / len(unseen)
        sure = gap > 4 * error.clamp_min(0).sqrt()
        return ((seen.mean() - unseen.mean()) / gap).item() if sure else math.nan

    def state_dict(self) -> dict[str, Any]:
        """What the samples looked like last."""
        return {"last": dict(self._last), "sums": dict(self._sums)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Compare with what the samples looked like before."""
        self._last, self._sums = dict(state["last"]), dict(state["sums"])


def _as_input(samples: Tensor, device: torch.device) -> Tensor:
    samples = samples.to(device)
    return to_float(samples) if samples.dtype == torch.uint8 else samples
