"""The training core: alternating updates by manual optimization, and the counters."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ganforge.losses.objective import AdversarialObjective, Terms
from ganforge.utils.images import to_float
from ganforge.utils.random_state import of_all_ranks, random_state, set_random_state
from ganforge.utils.seeds import number, seed_globals, torch_rng

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
ScheduleFactory = Callable[[Optimizer], LRScheduler]
# Told of every update: the player, its readings (scalars, on the device) and its parameters, whose
# gradients are still there. What it does must cost little and change nothing.
Observer = Callable[[str, dict[str, torch.Tensor], list[nn.Parameter]], None]
Batch = dict[str, torch.Tensor]
Plain = torch.Tensor | Sequence[torch.Tensor]


class Update(NamedTuple):
    """One player's update as it is reported."""

    player: str
    readings: dict[str, torch.Tensor]
    parameters: list[nn.Parameter]


class AdversarialModule(LightningModule):
    """A LightningModule whose players take turns.

    One *step* is one update of the generator: ``trainer.global_step``, ``max_steps``, every
    logger's x axis and every file name count it. ``images_seen`` counts real images over all ranks.

    A step has three parts. ``prepare`` draws what the host decides; ``play`` is the players' work
    on the device, which may be recorded once and repeated (``repeat`` takes its place then);
    counters, rates and reports are the host's again.

    Args:
        optimizer_generator: makes the optimizer of the generator's parameters.
        optimizer_discriminator: the same for the discriminator's; another rate there is the two
            time-scale rule of Heusel et al. 2017.
        schedule: makes the schedule of an optimizer's rate; None keeps rates as they are.
        clip_gradient: largest total gradient norm of a player; None leaves gradients alone.
        channels_last: keep convolutions in the memory format that is faster on most devices.

    """

    batch_keys: ClassVar[tuple[str, ...]] = ("image", "label")  # in the order of a plain batch
    constants: ClassVar[tuple[str, ...]] = ()  # settings beside the generators that pictures need

    def __init__(
        self,
        optimizer_generator: OptimizerFactory,
        optimizer_discriminator: OptimizerFactory,
        schedule: ScheduleFactory | None,
        clip_gradient: float | None,
        channels_last: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.optimizer_generator = optimizer_generator
        self.optimizer_discriminator = optimizer_discriminator
        self.schedule = schedule
        self.clip_gradient = clip_gradient
        self.channels_last = channels_last
        self.seed = seed
        self.images_seen = 0
        self._resumed: dict[str, Any] | None = None
        self.observers: list[Observer] = []
        self.repeat: Callable[[Batch], None] | None = None
        self.recorded: list[Update] | None = None  # a list while a step is being recorded
        self._noise: torch.Generator | None = None

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str, *arguments: Any, **networks: Any) -> Self:
        """Refused without the networks: a checkpoint is weights, the constructor is in the run."""
        if not networks:
            raise TypeError(
                "a checkpoint holds weights alone: ganforge.load(RUN).module is the trained "
                f"{cls.__name__}, with RUN the folder that {checkpoint_path} lies in"
            )
        return super().load_from_checkpoint(checkpoint_path, *arguments, **networks)

    def players(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """The networks of the generator's side, then those of the discriminator's."""
        raise NotImplementedError

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One optimizer a side, the generator's first; schedules are saved with a checkpoint."""
        sides = ("optimizer_generator", "optimizer_discriminator")
        optimizers = [
            self._optimizer(side, [p for network in networks for p in network.parameters()])
            for side, networks in zip(sides, self.players(), strict=True)
        ]
        if self.schedule is None:
            return optimizers
        return optimizers, [self.schedule(optimizer) for optimizer in optimizers]

    def _optimizer(self, side: str, parameters: list[nn.Parameter]) -> Optimizer:
        try:
            return getattr(self, side)(parameters)
        except (TypeError, ValueError) as error:
            raise ValueError(f"model.{side} cannot be made: {error}") from error

    @property
    def noise(self) -> torch.Generator:
        """The source of training noise: another one on every rank, and saved with a checkpoint.

        The states of CPU and GPU cannot be exchanged: a run that changed the device goes on with
        noise that it has not seen.
        """
        if self._noise is None:
            place = (self.seed, self.global_rank, "noise")
            self._noise = torch_rng(*place, device=self.device)
            if self._resumed is not None:
                if self._resumed["device"] == self.device.type:
                    self._noise.set_state(self._resumed["noise"])
                else:
                    self._noise.manual_seed(number(*place, self.images_seen))
        return self._noise

    def setup(self, stage: str) -> None:  # noqa: ARG002
        """Choose the memory format before anything copies or wraps the networks."""
        if str(self.trainer.precision).startswith("16"):
            raise ValueError("fp16 needs a scaler for each player: use bf16-mixed or 32-true")
        if self.channels_last:
            self.to(memory_format=torch.channels_last)

    def on_fit_start(self) -> None:
        """Let dropout and augmentation differ by rank; weights were drawn before, alike on all."""
        seed_globals(self.seed, self.global_rank, "training")

    def training_step(self, batch: Batch | Plain, batch_idx: int) -> None:  # noqa: ARG002
        """Play one step and move the rates on, before a callback may save them."""
        if not isinstance(batch, dict):
            batch = self.named(batch)
        if self._resumed is not None:
            self._go_on(self._resumed)
            self._resumed = None
        # The ranks' batches are equally large.
        self.images_seen += self.images_in(batch) * self.trainer.world_size
        self.prepare(batch)
        (self.repeat or self.play)(batch)
        schedules = self.lr_schedulers()
        for schedule in schedules if isinstance(schedules, list) else [schedules]:
            if schedule is not None:
                schedule.step()

    def named(self, batch: Plain) -> Batch:
        """A batch of a loader of one's own, uint8 or float ``[-1, 1]``, by the model's names."""
        parts = [batch] if isinstance(batch, torch.Tensor) else batch
        if len(parts) > len(self.batch_keys):
            raise ValueError(f"a batch is {' and '.join(self.batch_keys)}, not {len(parts)} parts")
        named = dict(zip(self.batch_keys, parts, strict=False))
        return {k: to_float(x) if x.dtype == torch.uint8 else x for k, x in named.items()}

    def _go_on(self, state: dict[str, Any]) -> None:
        """Take this rank's states of a checkpoint.

        Only in the first step: what came before may have drawn, and until the first forward pass
        DDP gives all ranks the first one's buffers.
        """
        self.noise  # noqa: B018 - takes its state
        set_random_state(state["random"], self.device)
        self.load_state_dict(state["buffers"], strict=False)

    def generators(self) -> dict[str, str]:
        """By what they make, the names of the networks that a trained model needs."""
        raise NotImplementedError

    @property
    def discriminator_calls(self) -> int:
        """How often a step asks an objective for the discriminator's terms."""
        return 1

    def calls_of(self, part: nn.Module) -> int:
        """How often a step asks a part of an objective: the generator's own terms once."""
        objectives = (o for o in self.modules() if isinstance(o, AdversarialObjective))
        own = any(part is p for o in objectives for p in o.generator_memories.modules())
        return 1 if own else self.discriminator_calls

    def images_in(self, batch: Batch) -> int:
        """Real images that a batch shows."""
        raise NotImplementedError

    def typical_inputs(self, network: str) -> Iterable[tuple[torch.Tensor, ...]]:  # noqa: ARG002
        """Batches of what the network of that name is given, always the same ones.

        They are made while they are asked for, so a network that needs none costs nothing. There
        are none for a network that the model does not know.
        """
        return ()

    def prepare(self, batch: Batch) -> None:
        """Decide what the host decides in a step, and bring it to the device."""

    def play(self, batch: Batch) -> None:
        """All updates of one step."""
        raise NotImplementedError

    def update(
        self,
        player: str,
        optimizer: LightningOptimizer,
        terms: Terms | Iterable[Terms],
        parts: int = 1,
    ) -> None:
        """Weigh the terms, then backward, clip, step and log one player's update.

        ``terms`` may be an iterable of the terms of ``parts`` equally large parts of a batch. Their
        gradients are accumulated, so that a part needs memory only while it is computed.

        Lightning counts the steps of every optimizer that it wraps. Only the generator's is stepped
        through the wrapper, so that ``global_step`` counts generator updates.
        """
        optimizer.zero_grad(set_to_none=True)
        means: dict[str, torch.Tensor] = {}
        for part in [terms] if isinstance(terms, dict) else terms:
            # Readings stay out of the sum: 0 × NaN would be NaN.
            loss = sum(term.weight * term.value for term in part.values() if term.weight) / parts
            # Autocast would turn the matrix products of a penalty's double backward into bf16.
            with torch.autocast(self.device.type, enabled=False):
                self.manual_backward(loss)
            values = {name: term.value.detach() / parts for name, term in part.items()}
            for name, value in {"loss": loss.detach(), **values}.items():
                means[name] = means[name] + value if name in means else value
        self._step(player, optimizer, means)

    def _step(
        self, player: str, optimizer: LightningOptimizer, readings: dict[str, torch.Tensor]
    ) -> None:
        """Clip, step and report; gradients are there."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        recording = self.recorded is not None
        if self.clip_gradient is not None:
            readings["gradient_norm"] = torch.nn.utils.clip_grad_norm_(
                parameters, self.clip_gradient
            )
        elif recording or self._is_logging_step():
            gradients = [p.grad for p in parameters if p.grad is not None]
            readings["gradient_norm"] = torch.nn.utils.get_total_norm(gradients)
        update = Update(player, readings, parameters)
        # A recorded step is counted, and reported, each time that it is repeated.
        if recording:
            self.recorded.append(update)
            optimizer.optimizer.step()
        else:
            self.report(update)
            (optimizer if player == "generator" else optimizer.optimizer).step()
        # Autocast keeps low-precision copies of weights until its context ends: they are old now.
        torch.clear_autocast_cache()

    def report(self, update: Update) -> None:
        """Log an update where it is due, and tell the observers."""
        if self._is_logging_step():
            self._log(update.player, update.readings)
        for observe in self.observers:
            observe(*update)

    def _is_logging_step(self) -> bool:
        return (self.trainer.global_step + 1) % self.trainer.log_every_n_steps == 0

    def _log(self, player: str, readings: dict[str, torch.Tensor]) -> None:
        # Lightning numbers batches from 0 on the loggers' axes; "step" puts the update's number.
        counters = {"step": self.trainer.global_step + 1.0, "kimg": self.images_seen / 1000}
        named = {f"{player}/{name}": value for name, value in readings.items()}
        self.log_dict({**counters, **named}, batch_size=1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the counters and what every rank has of its own to Lightning's state.

        That is noise, random states and, as Lightning saves the first rank's alone, the buffers:
        batch statistics, and what regularizers and augmentations remember.
        """
        state = {
            "device": self.device.type,
            "noise": self.noise.get_state(),
            "random": random_state(self.device),
            "buffers": self._own_buffers() if self.global_rank else {},
        }
        checkpoint["ganforge"] = {"images_seen": self.images_seen, "ranks": of_all_ranks(state)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the counters and this rank's states back; ranks that are new start from the seed."""
        state = checkpoint["ganforge"]
        self.images_seen = state["images_seen"]
        known = self.global_rank < len(state["ranks"])
        self._resumed = state["ranks"][self.global_rank] if known else None
        self._noise = None

    def _own_buffers(self) -> dict[str, torch.Tensor]:
        """The buffers that a checkpoint holds, by their names in it."""
        state = self.state_dict()
        return {name: state[name].cpu() for name, _ in self.named_buffers() if name in state}
