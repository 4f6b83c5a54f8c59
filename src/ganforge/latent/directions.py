"""Directions of latent space that mean something, found with and without labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganforge.latent.groups import Pool
from ganforge.latent.measure import logistic_direction
from ganforge.latent.space import Findings, Matrix, Sheet, Space
from ganforge.utils.errors import UserError

Supervised = Callable[[Tensor, Tensor], Tensor]
Unsupervised = Callable[[Space, int], Tensor]


def unit(vectors: Tensor) -> Tensor:
    """Give rows the length 1."""
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def difference_of_means(z: Tensor, positive: Tensor) -> Tensor:
    """From the mean latent of the others to that of the positive ones, ``D``."""
    return z[positive].mean(0) - z[~positive].mean(0)


def logistic_regression(z: Tensor, positive: Tensor) -> Tensor:
    """Normal of the plane that parts positive latents from the others (InterFaceGAN), ``D``."""
    return logistic_direction(z, positive)


def first_weights(generator: nn.Module, latent_dim: int) -> Tensor:
    """Weights ``latent_dim×outputs`` of the first layer that reads the latent."""
    for module in generator.modules():
        if isinstance(module, nn.Linear) and module.in_features == latent_dim:
            return module.weight.detach().T
        if isinstance(module, nn.ConvTranspose2d) and module.in_channels == latent_dim:
            return module.weight.detach().flatten(1)
        if isinstance(module, nn.Conv2d) and module.in_channels == latent_dim:
            return module.weight.detach().transpose(0, 1).flatten(1)
    raise UserError("the generator has no linear or convolutional layer that reads its latent")


def sefa(space: Space, count: int) -> Tensor:
    """Closed-form factorization (Shen & Zhou 2021): what the first weights amplify, ``count×D``."""
    weights = first_weights(space.generator, space.prior.size).double().cpu()
    vectors = torch.linalg.eigh(weights @ weights.T).eigenvectors
    return signed(vectors.flip(1).T[:count].float())


def signed(vectors: Tensor) -> Tensor:
    """Turn each row so that its largest entry is positive: eigenvectors have no sign."""
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return vectors * torch.where(largest < 0, -1.0, 1.0)


@dataclass(frozen=True)
class GANSpace:
    """Principal components of early activations, carried back to latents by regression.

    Härkönen et al. 2020, section 3.2: ``activation`` counts the generator's non-linear layers.
    """

    samples: int = 2000
    activation: int = 1

    @torch.no_grad()
    def __call__(self, space: Space, count: int) -> Tensor:
        """Directions ``count×D``, the strongest first."""
        layers = nonlinear_layers(space.generator)
        if not 1 <= self.activation <= len(layers):
            raise UserError(
                f"activation={self.activation} is not a layer of this generator: "
                f"it has 1 to {len(layers)}"
            )
        z = space.prior.draw(self.samples, space.rng(3))
        device = next(space.generator.parameters()).device
        seen = record(space.generator, layers[self.activation - 1][1], z.to(device)).double().cpu()
        seen = seen - seen.mean(0)
        # There are more activations than samples: take the smaller of the two Gram matrices.
        values, vectors = torch.linalg.eigh(seen @ seen.T)
        coordinates = vectors.flip(1)[:, :count] * values.flip(0)[:count].clamp_min(0).sqrt()
        centred = (z - z.mean(0)).double()
        back = torch.linalg.lstsq(coordinates, centred).solution
        return signed(unit(back.float()))


def nonlinear_layers(generator: nn.Module) -> list[tuple[str, nn.Module]]:
    """The generator's hidden non-linear layers with their names, in order."""
    kinds = (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.ELU)
    return [(n, m) for n, m in generator.named_modules() if isinstance(m, kinds)]


def record(generator: nn.Module, layer: nn.Module, z: Tensor) -> Tensor:
    """What ``layer`` gives for each latent, flat, ``N×features``."""
    seen: list[Tensor] = []
    hook = layer.register_forward_hook(lambda m, i, out: seen.append(out.flatten(1).clone()))  # noqa: ARG005
    try:
        for part in z.split(250):
            generator(part)
    finally:
        hook.remove()
    return torch.cat(seen)


@dataclass(frozen=True)
class Contrast:
    """Two values of an attribute: a direction leads from ``low`` to ``high``."""

    attribute: str
    low: int
    high: int


def contrasts(pool: Pool, minimum: int) -> tuple[list[Contrast], list[str]]:
    """First and last value of each attribute that the samples show ``minimum`` times; and notes."""
    found, notes = [], []
    for name, values in pool.names.items():
        counts = pool.labels[name].bincount(minlength=len(values))
        common = (counts >= minimum).nonzero().flatten().tolist()
        if len(common) < 2:
            notes.append(f"no direction for {name}: {pool.shares(name)} of {len(pool)} samples")
            continue
        found.append(Contrast(name, common[0], common[-1]))
    if not found:
        raise UserError(
            f"no attribute has two values that {minimum} of {len(pool)} samples show "
            f"(tool.supervised=null leaves such directions out): {'; '.join(notes)}"
        )
    return found, notes


def effects(space: Space, directions: Tensor, z: Tensor, strength: float) -> Tensor:
    """How far each direction moves each attribute's logits, ``directions×attributes``.

    The mean logits of an attribute at ``+strength`` less those at ``-strength``, centred over its
    values (a common shift of logits means nothing); the largest change of a value counts.
    """
    rows = []
    for direction in directions:
        ends = [space.logits(space.images(z + s * direction)) for s in (strength, -strength)]
        moved = {k: (ends[0][k] - ends[1][k]).mean(0) for k in space.names}
        rows.append(torch.stack([(m - m.mean()).abs().max() for m in moved.values()]))
    return torch.stack(rows)


@dataclass(frozen=True)
class Directions:
    """Finds directions by every method, draws each at seven strengths and measures its effects.

    Strengths reach ``reach`` standard deviations of the prior to either side. Supervised methods
    learn from ``pool`` classified samples; effects are means over ``measured`` others.
    """

    supervised: Mapping[str, Supervised] | None
    unsupervised: Mapping[str, Unsupervised] | None
    components: int = 5
    reach: float = 3.0
    strengths: int = 7
    pool: int = 8000
    minimum: int = 40
    measured: int = 200

    def __call__(self, space: Space) -> Findings:
        """Find, draw and measure."""
        numbers: dict[str, object] = {"reach": self.reach, "measured": self.measured}
        lines: list[str] = []
        pictures: dict[str, Sheet | Matrix] = {}
        chosen: list[Contrast] = []
        if self.supervised:
            pool = Pool.sample(space, self.pool, space.rng())
            chosen, notes = contrasts(pool, self.minimum)
            lines += notes
        words = [
            f"{c.attribute}: {space.names[c.attribute][c.low]} → {space.names[c.attribute][c.high]}"
            for c in chosen
        ]
        for name, method in (self.supervised or {}).items():
            found = torch.stack([self._learn(method, pool, contrast) for contrast in chosen])
            matrix = self._report(space, name, unit(found), words, numbers, pictures)
            own = [list(space.names).index(c.attribute) for c in chosen]
            right = [matrix[i].argmax().item() == column for i, column in enumerate(own)]
            numbers[name] |= {"own_effect_largest": dict(zip(words, right, strict=True))}
            lines.append(
                f"{name}: {sum(right)} of {len(right)} directions move their own attribute most"
            )
        for name, method in (self.unsupervised or {}).items():
            found = method(space, self.components)
            rows = [f"{name} {i + 1}" for i in range(len(found))]
            self._report(space, name, unit(found), rows, numbers, pictures)
            lines.append(f"{name}: {len(found)} directions drawn")
        return Findings(numbers, lines, pictures)

    def _learn(self, method: Supervised, pool: Pool, contrast: Contrast) -> Tensor:
        labels = pool.labels[contrast.attribute]
        either = (labels == contrast.low) | (labels == contrast.high)
        return method(pool.z[either], labels[either] == contrast.high)

    def _report(
        self,
        space: Space,
        name: str,
        found: Tensor,
        words: Sequence[str],
        numbers: dict[str, object],
        pictures: dict[str, Sheet | Matrix],
    ) -> Tensor:
        """Draw one method's sheet and matrix; returns the effects."""
        strengths = torch.linspace(-self.reach, self.reach, self.strengths)
        z = space.prior.draw(1, space.rng(4))
        sigma = found * space.prior.spread(found)
        steps = [z + s * direction for direction in sigma for s in strengths]
        columns = [f"{s:+.2g}σ" if s else "0" for s in strengths.tolist()]
        pictures[name] = Sheet(space.images(torch.cat(steps)), columns, words)
        numbers[name] = {"directions": {w: d.tolist() for w, d in zip(words, found, strict=True)}}
        if space.classify is None:
            return torch.empty(0)
        z = space.prior.draw(self.measured, space.rng(5))
        matrix = effects(space, sigma, z, self.reach)
        attributes = list(space.names)
        numbers[name] |= {
            "effects": {
                w: dict(zip(attributes, row.tolist(), strict=True))
                for w, row in zip(words, matrix, strict=True)
            }
        }
        title = f"{name}: change of logits from -{self.reach:g}σ to +{self.reach:g}σ"
        pictures[f"{name}_effects"] = Matrix(matrix, words, attributes, title)
        return matrix
