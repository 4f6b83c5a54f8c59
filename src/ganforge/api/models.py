"""Trained models as objects: what ``ganforge.load`` returns and the commands call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from ganforge.api.directions import Direction, directions_of, moved, untold
from ganforge.api.scores import USUAL, score_generator, score_translator
from ganforge.config.build import build, with_features
from ganforge.config.compose import compose_in_place
from ganforge.latent import priors
from ganforge.latent.priors import Prior
from ganforge.latent.space import Tool
from ganforge.metrics.comparison import Metric
from ganforge.metrics.features import FeatureExtractor
from ganforge.metrics.protocol import Score
from ganforge.models.latent import LatentModel
from ganforge.models.region import RegionTranslator
from ganforge.models.translator import Translator
from ganforge.networks.mapped import MappedGenerator
from ganforge.report.findings import Exploration
from ganforge.sharing.export import Wish
from ganforge.sharing.formats import export_as
from ganforge.trained.health import refuse_broken
from ganforge.trained.latents import class_number, of_seeds
from ganforge.trained.load import LoadedRun, load_run, need_latents
from ganforge.trained.space import build_space, one_class
from ganforge.trained.tiles import translate_tiled
from ganforge.utils.errors import UserError
from ganforge.utils.seeds import picture_rng

CHUNK = 64  # images made at a time: as many as ever, for their last bits depend on it


def check_request(n: int | None, seed: int, truncation: object) -> None:
    """Refuse pictures that cannot be, before a model is loaded for them."""
    if not 1 <= (n or 0) <= 1_000_000:
        raise UserError(f"n={n} is not a count of images between 1 and 1000000")
    if seed < 0:
        raise UserError(f"seed={seed} must not be negative")
    if truncation is not None and not (isinstance(truncation, int | float) and truncation > 0):
        raise UserError(
            f"truncation={truncation} is no number above 0: 0.7 is usual, null for none"
        )


class Trained:
    """What a trained generator and a trained translator share."""

    def __init__(self, loaded: LoadedRun) -> None:
        refuse_broken(loaded)
        self.loaded = loaded

    @property
    def module(self) -> LatentModel | Translator:
        """The LightningModule, in evaluation mode, with averaged weights where there are some."""
        return self.loaded.module

    @property
    def folder(self) -> Path:
        """The run or the bundle."""
        return self.loaded.run.folder

    @property
    def step(self) -> int:
        """Updates of the generator that the weights are of."""
        return self.loaded.step

    @property
    def scores(self) -> list[Score]:
        """What was measured of these weights, in training and by ``evaluate``."""
        from ganforge.sharing.card import read_scores

        return list(read_scores(self.loaded))

    def export(
        self,
        output: str | Path,
        format: str | None = None,  # noqa: A002 - the word of the command
        *,
        overwrite: bool = False,
        picture: bool = True,
        license: str | None = None,  # noqa: A002 - the word on the model card
        half: bool = False,
        uint8: bool = False,
    ) -> list[str]:
        """Write a bundle that others can load safely, or a program; returns the names of files.

        ``format`` is one of ``ganforge export``, by default that of the ending, as of ``x.onnx``.
        """
        wish = Wish(overwrite, picture, license, half)
        files, _ = export_as(self.loaded, Path(output), format, wish, uint8=uint8)
        return [file.name for file in files]

    def __repr__(self) -> str:
        kind, model = type(self).__name__, type(self.module).__name__
        return f"{kind}({str(self.folder)!r}: {model}, step {self.step})"


@dataclass(frozen=True)
class LatentSpace:
    """One kind of latents of a generator: z, or styles w where it maps its latents first."""

    prior: Prior
    generator: nn.Module
    _decode: Callable[[nn.Module, Tensor], Tensor]

    def latents(self, seeds: Sequence[int]) -> Tensor:
        """One latent a seed, ``len(seeds)×D``."""
        return torch.cat([self.prior.draw(1, picture_rng(seed)) for seed in seeds])

    def decode(self, latents: Tensor) -> Tensor:
        """Uint8 images of latents."""
        return self._decode(self.generator, latents).cpu()


class TrainedGenerator(Trained):
    """A model that makes images from latents."""

    def __init__(self, loaded: LoadedRun) -> None:
        super().__init__(loaded)
        self._directions: dict[tuple[str, int | None], dict[str, Direction]] = {}

    @property
    def classes(self) -> list[str] | None:
        """Names of a conditional model's classes, where they are known."""
        return self.loaded.classes

    def sample(
        self,
        n: int = 64,
        seed: int = 0,
        truncation: float | None = None,
        label: str | int | None = None,
    ) -> Tensor:
        """Uint8 ``n×C×H×W``: the pictures of ``ganforge generate``, one a seed from ``seed`` on."""
        check_request(n, seed, truncation)
        number, seeds = self._number(label), range(seed, seed + n)
        parts = (seeds[start : start + CHUNK] for start in range(0, n, CHUNK))
        return torch.cat([of_seeds(self.module, p, truncation, number).cpu() for p in parts])

    def latents(self, seeds: Sequence[int]) -> Tensor:
        """The latents z of seeds, ``len(seeds)×D``."""
        return priors.of_seeds(self.module.prior, seeds)

    def decode(self, latents: Tensor, label: str | int | None = None) -> Tensor:
        """Uint8 images of latents z; a conditional model needs a ``label``."""
        return self.space("z", label).decode(latents)

    def space(self, name: str = "z", label: str | int | None = None) -> LatentSpace:
        """Latents ``z``, or ``w`` where the generator has a mapping; in one class, if any."""
        space = one_class(self.loaded, name, self._number(label))
        return LatentSpace(*space, self.module.decode)

    def directions(
        self,
        space: str | None = None,
        label: str | int | None = None,
        progress: Callable[[float], None] = untold,
    ) -> dict[str, Direction]:
        """Directions by name, of attributes where a classifier knows some, and of no labels.

        They are found once and kept in ``<run>/explore/known_directions``. The space is w where the
        generator has a mapping, else z. ``progress`` is told the share that is done.
        """
        name, number = self._space_name(space), self._number(label)
        one_class(self.loaded, name, number)
        if (name, number) not in self._directions:
            known = directions_of(self.loaded, self.features(), name, number, progress)
            self._directions[name, number] = known
        return self._directions[name, number]

    def edit(
        self,
        seeds: Sequence[int],
        moves: Mapping[str, float],
        *,
        truncation: float | None = None,
        label: str | int | None = None,
        space: str | None = None,
    ) -> Tensor:
        """Uint8 pictures of seeds moved by so many standard deviations along ``directions``."""
        check_request(len(seeds), min(seeds, default=0), truncation)
        name = self._space_name(space)
        inside = self.space(name, label)
        latents = inside.latents(seeds)
        if truncation is not None:
            latents = inside.prior.truncate(latents, truncation)
        known = self.directions(name, label) if moves else {}
        return inside.decode(moved(latents, moves, known, inside.prior))

    def features(self) -> FeatureExtractor | None:
        """The features that the run was scored by; None where it has none."""
        try:
            return self._extractor(None)
        except UserError:
            return None

    def _space_name(self, space: str | None) -> str:
        names = ("z", "w") if isinstance(self.module.generator, MappedGenerator) else ("z",)
        return names[-1] if space is None else space

    def explore(
        self,
        tool: str | Tool = "interpolation",
        *,
        space: str = "z",
        label: str | int | None = None,
        seed: int = 0,
        features: str | FeatureExtractor | None = None,
        data_path: str | None = None,
        **settings: Any,
    ) -> Exploration:
        """Run a tool of ``ganforge explore`` by its name, with settings, or one of your own."""
        need_latents(self.loaded)
        if isinstance(tool, str):
            config = compose_in_place("explore", [f"tool={tool}"]).tool
            made, name = build(config, **settings), tool
            plain = {**OmegaConf.to_container(config, resolve=True), **settings}
        else:
            made, name, plain = tool, type(tool).__name__, settings
        return explore_with(
            self.loaded, made, self._extractor(features), name=name, settings=plain, space=space,
            label=self._number(label), seed=seed, data_path=data_path,
        )  # fmt: skip

    def score(
        self,
        n: int = 2000,
        metrics: Sequence[str | Metric] = USUAL,
        *,
        features: str | FeatureExtractor | None = None,
        split: str = "train",
        seed: int = 2020,
        data_path: str | None = None,
    ) -> list[Score]:
        """Score ``n`` generated images against a split of the model's own data."""
        return score_generator(
            self.loaded, features, metrics, n=n, split=split, seed=seed, data_path=data_path
        )

    def _number(self, label: str | int | None) -> int | None:
        return class_number(self.loaded, label)

    def _extractor(self, features: str | FeatureExtractor | None) -> FeatureExtractor:
        if features is not None and not isinstance(features, str):
            return features
        words = [] if features is None else [f"features={features}"]
        return need_features(compose_in_place("explore", words), self.loaded)


def need_features(config: DictConfig, loaded: LoadedRun) -> FeatureExtractor:
    """The features that a configuration chose, else those of the run; a UserError without any."""
    chosen = with_features(config, loaded.config)
    if not chosen:
        raise UserError(
            f"{loaded.run.folder} was trained without features: choose features=cnn or others"
        )
    return build(chosen)


def explore_with(
    loaded: LoadedRun,
    tool: Tool,
    extractor: FeatureExtractor,
    *,
    name: str,
    settings: Any,
    space: str = "z",
    label: int | None = None,
    seed: int = 0,
    data_path: str | None = None,
) -> Exploration:
    """What a tool finds in a space of a trained generator; ``settings`` are recorded with it."""
    if seed < 0:
        raise UserError(f"seed={seed} must not be negative")
    built = build_space(loaded, extractor, name=space, label=label, seed=seed, data_path=data_path)
    facts = {
        "tool": name,
        "settings": settings,
        "run": loaded.run.folder.name,
        "step": loaded.step,
        "averaged_weights": loaded.ema,
        "seed": seed,
        **({} if space == "z" else {"space": space}),
    }
    return Exploration(tool(built), facts)


class TrainedTranslator(Trained):
    """A model that translates images of one domain into another."""

    @property
    def directions(self) -> list[str]:
        """What ``translate`` knows, such as ``a_to_b``."""
        return list(self.module.translators)

    def translate(
        self, images: Tensor, direction: str | None = None, tile: int = 768, overlap: int = 64
    ) -> Tensor:
        """Uint8 ``N×C×H×W`` to uint8 of any size, in pieces where they are larger than ``tile``.

        Without a direction the first is taken. A model of a region takes windows with their
        exemplars behind, ``N×2C×H×W``.
        """
        if images.dtype != torch.uint8 or images.dim() != 4:
            raise UserError(
                f"images are {images.dtype} of shape {tuple(images.shape)}: give uint8 N×C×H×W"
            )
        way = self.directions[0] if direction is None else direction
        if way not in self.directions:
            known = " or ".join(self.directions)
            raise UserError(f"direction={way} is not learned by {self.folder}: use {known}")
        channels = self.module.input_shape(way, self.loaded.config.data)[0]
        if images.shape[1] != channels:
            raise UserError(f"images have {images.shape[1]} channels: {way} takes {channels}")
        if isinstance(self.module, RegionTranslator):
            return self.module.translate(images, way).cpu()
        return translate_tiled(lambda part: self.module.translate(part, way), images, tile, overlap)

    def score(
        self,
        n: int = 2000,
        metrics: Sequence[str | Metric] = USUAL,
        *,
        features: str | FeatureExtractor | None = None,
        split: str = "test",
        seed: int = 2020,
        data_path: str | None = None,
    ) -> list[Score]:
        """Score at most ``n`` translations each way; against the truth, too, where it is known."""
        return score_translator(
            self.loaded, features, metrics, n=n, split=split, seed=seed, data_path=data_path
        )


def load(
    folder: str | Path, checkpoint: str = "best", device: str = "auto", trusted: bool = False
) -> TrainedGenerator | TrainedTranslator:
    """Open a run or a bundle as a trained model: one that makes images, or one that translates.

    ``checkpoint`` is ``best`` or ``last``. A run of others whose own classes may execute anything
    is refused unless it is ``trusted``.
    """
    return opened(load_run(folder, checkpoint, device, trusted))


def opened(loaded: LoadedRun) -> TrainedGenerator | TrainedTranslator:
    """The object for a loaded run."""
    if isinstance(loaded.module, Translator):
        return TrainedTranslator(loaded)
    if isinstance(loaded.module, LatentModel):
        return TrainedGenerator(loaded)
    need_latents(loaded)
    raise TypeError(loaded)  # need_latents raised
