"""A region of a picture generated after an exemplar: closed eyes opened, a mouth moved.

As in ExGAN (Dolhansky & Canton Ferrer 2018) the generator fills a hole and is shown another picture
of the same person. Unlike there it edits that picture, the exemplar, which has been laid over the
hole, and the critic is a matching-aware one (Reed et al. 2016): it also sees true pictures beside
the exemplar of somebody else, which it has to call false.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ganforge.losses.objective import AdversarialObjective, Term, refuse_batch_norm
from ganforge.models.base import Batch, OptimizerFactory, ScheduleFactory
from ganforge.models.translator import TYPICAL, Translator
from ganforge.utils.images import to_float, to_uint8
from ganforge.utils.modes import evaluating
from ganforge.utils.regions import Region


class Change(NamedTuple):
    """What becomes of an exemplar in ``[-1, 1]``: ``gain × exemplar + offset``.

    Float, gain ``N×1×H×W`` and offset ``N×C×H×W``; both are smooth, so that they can be enlarged.
    """

    gain: Tensor
    offset: Tensor

    def of(self, exemplar: Tensor) -> Tensor:
        """What is generated."""
        return self.gain * exemplar + self.offset


class RegionTranslator(Translator):
    """A generator that changes a ``region`` of windows ``size`` pixels wide, and a critic of pairs.

    Batches are ``exemplar``, ``truth`` and ``input``, float ``N×C×H×W``, and ``person``, int64
    ``N``. The critic sees ``N×2C×H×W``: a window in front, its exemplar behind. Half of what it has
    to call false is generated, half a truth beside another person's exemplar.

    Where batches hold ``sound``, float ``N×1×H×W``, generator and critic hear it, and that other
    half is a truth and its exemplar beside another sound. In training sounds vary in loudness by
    ``loudness`` and are noisy by ``hiss``, standard deviations of a −1 to 1 range.
    """

    translators: ClassVar[dict[str, str]] = {"input_to_truth": "generator"}
    batch_keys: ClassVar[tuple[str, ...]] = ("exemplar", "truth", "input", "person")
    constants: ClassVar[tuple[str, ...]] = ("region",)
    usage: ClassVar[str] = "retouch run={run} input=PHOTO exemplar=PHOTO output=FOLDER"

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: AdversarialObjective,
        region: Region,
        size: int,
        optimizer_generator: OptimizerFactory,
        optimizer_discriminator: OptimizerFactory,
        schedule: ScheduleFactory | None = None,
        lambda_adversarial: float = 1.0,
        lambda_l1: float = 20.0,
        loudness: float = 0.12,
        hiss: float = 0.04,
        clip_gradient: float | None = None,
        channels_last: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(
            optimizer_generator, optimizer_discriminator, schedule,
            clip_gradient, channels_last, seed,
        )  # fmt: skip
        refuse_batch_norm(discriminator, objective)
        self.generator = generator
        self.discriminator = discriminator
        self.objective = objective
        self.region, self.size = region, size
        self.lambda_adversarial = lambda_adversarial
        self.lambda_l1 = lambda_l1
        self.loudness, self.hiss = loudness, hiss
        # Constants of the region: no part of a checkpoint.
        self.register_buffer("soft", region.soft(size), persistent=False)
        self.register_buffer("hole", region.hole(size), persistent=False)

    def players(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """The generator and the critic of pairs."""
        return [self.generator], [self.discriminator]

    def images_in(self, batch: Batch) -> int:
        """Truths."""
        return len(batch["truth"])

    @property
    def discriminator_calls(self) -> int:
        """None where the critic is left out."""
        return int(bool(self.lambda_adversarial))

    def play(self, batch: Batch) -> None:
        """Fill the hole, update the critic once, then the generator once."""
        truth, exemplar = batch["truth"], batch["exemplar"]
        optimizer_g, optimizer_d = self.optimizers()
        sound = self._varied(batch.get("sound"))
        critic = self.discriminator if sound is None else partial(self._critic, sound=sound)
        fake = self.fill(batch["input"], exemplar, sound)
        real_pair, fake_pair = torch.cat([truth, exemplar], dim=1), torch.cat([fake, exemplar], 1)
        if self.lambda_adversarial:
            false_pair = self._with_mismatches(real_pair, fake_pair, batch["person"], sound)
            with self.toggled_optimizer(optimizer_d):
                terms = self.objective.discriminator(critic, real_pair, false_pair)
                self.update("discriminator", optimizer_d, terms)
        with self.toggled_optimizer(optimizer_g):
            difference = ((fake - truth).abs() * self.soft).sum() / truth[:, :1].numel()
            l1 = difference / (self.soft.mean() * truth.shape[1])
            terms = {"l1": Term(l1, self.lambda_l1)}
            if self.lambda_adversarial:
                of_critic = self.objective.generator(critic, fake_pair, real_pair)
                value = of_critic["adversarial"].value
                terms |= of_critic | {"adversarial": Term(value, self.lambda_adversarial)}
            self.update("generator", optimizer_g, terms)

    def fill(self, images: Tensor, exemplar: Tensor, sound: Tensor | None = None) -> Tensor:
        """Windows with the region generated; float ``[-1, 1]`` in and out."""
        made = self.change(images, exemplar, sound).of(exemplar)
        return images * (1 - self.soft) + made * self.soft

    def change(self, images: Tensor, exemplar: Tensor, sound: Tensor | None = None) -> Change:
        """What the exemplar has to become to fit into the hole of ``images``, all float."""
        heard = [] if sound is None else [sound]
        made = self.generator(self._seen(images, exemplar), *heard).float()
        return Change(made[:, -1:], made[:, :-1])

    def _seen(self, images: Tensor, exemplar: Tensor) -> Tensor:
        hole = self.hole.expand(images.shape[0], -1, -1, -1)  # no len: programs
        return torch.cat([images * (1 - hole), hole, exemplar], dim=1)

    def typical_inputs(self, network: str) -> Iterator[tuple[Tensor, ...]]:
        """Training windows with their exemplars, and their sounds where there are some."""
        if network == "generator":
            batches, size = TYPICAL
            cases = self.trainer.datamodule.split("train").cases(batches * size)
            sides = [cases[k].split(size) for k in ("input", "exemplar", "sound") if k in cases]
            for given in zip(*sides, strict=True):
                images, exemplar, *sound = (to_float(side.to(self.device)) for side in given)
                yield (self._seen(images, exemplar), *sound)

    def retouch(self, images: Tensor, exemplar: Tensor, sound: Tensor | None = None) -> Tensor:
        """Uint8 windows ``N×C×H×W`` in and out: outside of the region every bit is the input's."""
        given = [images, exemplar, *([] if sound is None else [sound])]
        images, *others = (each.to(self.device) for each in given)
        with evaluating(self), torch.no_grad():
            made = to_uint8(self.fill(to_float(images), *map(to_float, others)))
        return torch.where(self.soft > 0, made, images)

    def translate(self, images: Tensor, direction: str) -> Tensor:
        """Retouch windows with their exemplars behind, ``N×2C×H×W``."""
        silence = None
        if self.network(direction).hears:
            silence = torch.zeros(len(images), 1, 32, 32, dtype=torch.uint8)
        return self.retouch(*images.chunk(2, dim=1), silence)

    def input_shape(self, direction: str, data: Mapping[str, Any]) -> tuple[int, ...]:  # noqa: ARG002
        """A window and its exemplar."""
        return 2 * data["channels"], *self.region.shape(self.size)

    def output_shape(self, direction: str, data: Mapping[str, Any]) -> tuple[int, ...]:  # noqa: ARG002
        """A window."""
        return data["channels"], *self.region.shape(self.size)

    def panels(
        self, exemplar: Tensor, truth: Tensor, **sides: Tensor
    ) -> dict[str, dict[str, Tensor]]:
        """Pictures of uint8 windows, a named column each."""
        seen = sides["input"]
        pasted = torch.where(self.soft.cpu() > 0.5, exemplar, seen)
        made = self.retouch(seen, exemplar, sides.get("sound")).cpu()
        columns = {"exemplar": exemplar, "input": seen, "pasted": pasted}
        return {"input_to_truth": columns | {"generated": made, "truth": truth}}

    def _critic(self, pairs: Tensor, sound: Tensor) -> Tensor:
        return self.discriminator(pairs, sound)

    def _varied(self, sound: Tensor | None) -> Tensor | None:
        """Sounds louder or quieter, and noisy."""
        if sound is None:
            return None
        louder = torch.randn(len(sound), 1, 1, 1, generator=self.noise, device=self.device)
        noise = torch.randn(sound.shape, generator=self.noise, device=self.device)
        return sound + self.loudness * louder + self.hiss * noise

    def _with_mismatches(
        self, real_pair: Tensor, fake_pair: Tensor, person: Tensor, sound: Tensor | None
    ) -> Tensor:
        """Generated pairs; in every other one a truth beside a stranger's exemplar instead.

        Where there is sound, a stranger's truth and exemplar stand beside it.
        """
        truth, exemplar = real_pair.chunk(2, dim=1)
        stranger, found = strangers(person)
        shown = truth if sound is None else truth[stranger]
        mismatched = torch.cat([shown, exemplar[stranger]], dim=1)
        every_other = torch.arange(len(person), device=person.device) % 2 == 1
        return torch.where((every_other & found)[:, None, None, None], mismatched, fake_pair)


def strangers(person: Tensor) -> tuple[Tensor, Tensor]:
    """For every row the next one, round the batch, that is another person; and whether there is."""
    n = len(person)
    ahead = (torch.arange(n, device=person.device)[:, None] + torch.arange(1, n + 1).to(person)) % n
    other = person[ahead] != person[:, None]
    first = other.int().argmax(dim=1, keepdim=True)
    return ahead.gather(1, first).squeeze(1), other.any(dim=1)
