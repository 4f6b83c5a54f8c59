"""Pictures of seeds: latents, truncation and classes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ganforge.latent import priors
from ganforge.models.latent import LatentModel
from ganforge.trained.load import LoadedRun
from ganforge.utils.errors import UserError


def of_seeds(
    module: LatentModel,
    seeds: Sequence[int],
    truncation: float | None = None,
    label: int | None = None,
) -> Tensor:
    """Samples of seeds; without ``label`` each in a class of its own where there are some.

    ``truncation`` asks for more typical pictures and less variety: of styles where the generator
    has them, else of latents.
    """
    z, labels = priors.of_seeds(module.prior, seeds), labels_of_seeds(module, seeds, label)
    if truncation is None:
        return module.generate(z, labels)
    if list(module.spaces()) == ["z"]:
        return module.generate(module.prior.truncate(z, truncation), labels)
    if labels is None:
        return _of_styles(module, z, truncation, None)
    samples = {
        n: _of_styles(module, z[labels == n], truncation, n) for n in labels.unique().tolist()
    }
    places = torch.cat([(labels == n).nonzero().flatten() for n in samples])
    return torch.cat(list(samples.values()))[places.argsort()]


def _of_styles(module: LatentModel, z: Tensor, truncation: float, label: int | None) -> Tensor:
    prior, generator = module.spaces(label)["w"]
    with torch.no_grad():
        return module.decode(generator, prior.truncate(prior.mapping(z), truncation))


def class_number(loaded: LoadedRun, wanted: object) -> int | None:
    """The number of a class given by number or name; a UserError lists those there are."""
    if wanted is None:
        return None
    count, names = loaded.module.num_classes, loaded.classes
    if count is None:
        raise UserError(
            f"{loaded.run.folder} holds an unconditional model, which knows no class {wanted}: "
            "leave class out, or train one with conditioning=projection"
        )
    known = {str(i): i for i in range(count)} | {n.lower(): i for i, n in enumerate(names or [])}
    if (number := known.get(str(wanted).lower())) is None:
        listed = ", ".join(names) if names else "known by number only"
        raise UserError(
            f"class={wanted} is not among the {count} classes of {loaded.run.folder}: 0 to "
            f"{count - 1}, {listed}"
        )
    return number


def labels_of_seeds(
    module: LatentModel, seeds: Sequence[int], number: int | None = None
) -> Tensor | None:
    """The chosen class, else one a seed, as frequent as in the training data; None: no classes."""
    if number is not None:
        return torch.full((len(seeds),), number)
    if module.num_classes is None:
        return None
    return torch.cat([module.draw_labels(1, seed) for seed in seeds])
