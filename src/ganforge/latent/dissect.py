"""GAN dissection (Bau et al. 2019): which units draw what, found by switching them off."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.latent.directions import nonlinear_layers
from ganforge.latent.groups import Pool, parse_query, spell
from ganforge.latent.space import Findings, Sheet, Space
from ganforge.utils.errors import UserError


@contextmanager
def switched_off(layer: nn.Module, units: Sequence[int]) -> Iterator[None]:
    """Within the block, these channels of the layer's output are 0."""

    def silence(module: nn.Module, inputs: object, output: Tensor) -> Tensor:  # noqa: ARG001
        output = output.clone()
        output[:, list(units)] = 0
        return output

    hook = layer.register_forward_hook(silence)
    try:
        yield
    finally:
        hook.remove()


def count_units(generator: nn.Module, layer: nn.Module, z: Tensor) -> int:
    """Channels (or neurons) that a layer gives."""
    widths: list[int] = []
    hook = layer.register_forward_hook(lambda m, i, out: widths.append(out.shape[1]))  # noqa: ARG005
    try:
        with torch.no_grad():
            generator(z)
    finally:
        hook.remove()
    return widths[0]


def evidence(logits: Tensor, value: int) -> Tensor:
    """Log-odds of a value against all others, from logits ``N×values``; shape ``N``."""
    others = [i for i in range(logits.shape[1]) if i != value]
    return logits[:, value] - logits[:, others].logsumexp(1)


@dataclass(frozen=True)
class Dissect:
    """Ranks units by how much the evidence for ``query`` falls when each is switched off.

    Measured on ``images`` samples that match the query (one ``attribute=value``); afterwards the
    best ``units`` of each layer are switched off together, as many random ones for comparison.
    """

    query: str
    layers: Sequence[str] | None = None
    images: int = 32
    units: int = 8
    listed: int = 10
    shown: int = 6
    pool: int = 2000

    def __call__(self, space: Space) -> Findings:
        """Switch off, rank, draw."""
        wanted = parse_query(self.query, space.names)
        if len(wanted) != 1:
            raise UserError(f"tool.query={self.query} must name one attribute=value")
        ((attribute, value),) = wanted.items()
        layers = self._layers(space.generator)
        z = Pool.sample(space, self.pool, space.rng()).matching(wanted)[: self.images]
        before = evidence(space.logits(space.images(z))[attribute], value)
        numbers: dict[str, Any] = {
            "query": spell(wanted, space.names),
            "images": len(z),
            "evidence": before.mean().item(),
        }
        shown = min(self.shown, len(z))
        pictures, rows, lines = [space.images(z[:shown])], ["all units"], []
        for name, layer in layers.items():
            fall = self._falls(space, layer, z, before, attribute, value)
            best = fall.argsort(descending=True, stable=True)
            random = torch.randperm(len(fall), generator=space.rng(2))
            kept = {}
            for kind, order in (("best", best), ("random", random)):
                units = order[: self.units].tolist()
                with switched_off(layer, units):
                    images = space.images(z)
                labels = space.logits(images)[attribute].argmax(1)
                kept[kind] = (labels == value).double().mean().item()
                pictures.append(images[:shown])
                rows.append(f"{name}: {kind} {len(units)} off")
            ranked = [{"unit": u, "fall": fall[u].item()} for u in best[: self.listed].tolist()]
            numbers[name] = {"units": len(fall), "ranked": ranked, "still_classified": kept}
            lines.append(self._line(name, numbers[name]))
        sheet = Sheet(torch.cat(pictures), [str(i + 1) for i in range(shown)], rows)
        return Findings(numbers, lines, {"dissect": sheet})

    def _line(self, name: str, numbers: dict[str, Any]) -> str:
        kept, off = numbers["still_classified"], min(self.units, numbers["units"])
        strongest = ", ".join(str(entry["unit"]) for entry in numbers["ranked"][:5])
        return (
            f"{name}: with its best {off} of {numbers['units']} units off {kept['best']:.0%} of "
            f"the images still are {self.query}, with random ones off {kept['random']:.0%}; "
            f"strongest units {strongest}"
        )

    def _layers(self, generator: nn.Module) -> dict[str, nn.Module]:
        known = dict(nonlinear_layers(generator))
        for name in self.layers or ():
            if name not in known:
                raise UserError(
                    f"the generator has no hidden layer {name!r}: there are {', '.join(known)}"
                )
        return {name: known[name] for name in self.layers or known}

    def _falls(
        self, space: Space, layer: nn.Module, z: Tensor, before: Tensor, attribute: str, value: int
    ) -> Tensor:
        """Mean fall of the evidence for every unit of a layer."""
        device = next(space.generator.parameters()).device
        falls = []
        for unit in range(count_units(space.generator, layer, z[:1].to(device))):
            with switched_off(layer, [unit]):
                after = evidence(space.logits(space.images(z))[attribute], value)
            falls.append((before - after).mean())
        return torch.stack(falls)
