"""The theory made visible: what both players do on distributions whose truth is known."""

import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from matplotlib.figure import Figure
from torch import Tensor

from ganforge.callbacks.ema import averaged
from ganforge.callbacks.judge import Judge
from ganforge.callbacks.loggers import log_picture
from ganforge.metrics.protocol import Protocol, Score
from ganforge.metrics.sets import labels_for
from ganforge.metrics.toy import mode_coverage, wasserstein1
from ganforge.utils.files import atomic_path
from ganforge.utils.images import join_gif
from ganforge.utils.modes import evaluating
from ganforge.utils.png import open_png
from ganforge.utils.runs import by_number
from ganforge.utils.seeds import torch_rng

DATA, FAKE, CRITIC = "#222222", "#2a9d5c", "#3366cc"


class TheoryFigure(Judge):
    """Draws one frame every N steps, measures, and joins the frames into a GIF at the end.

    ``readings`` holds the newest measurements by name. The first process alone measures.
    """

    def __init__(
        self, folder: str | Path, every_n_steps: int = 100, n_samples: int = 10_000, seed: int = 0
    ) -> None:
        super().__init__(every_n_steps, at_start=True)
        self.folder = Path(folder)
        self.n_samples = n_samples
        self.seed = seed
        self.readings: dict[str, float] = {}
        self._missed = 0  # modes
        self._measured: tuple[int, Protocol] | None = None

    @property
    def objective(self) -> tuple[str, float]:
        """Name and newest value of what runs are ranked by: less is better."""
        raise NotImplementedError

    @property
    def objective_name(self) -> str:
        """The objective's name."""
        return self.objective[0]

    @property
    def newest(self) -> Score | None:
        """The objective with the data and the number of samples that it was measured with."""
        if self._measured is None:
            return None
        step, protocol = self._measured
        return Score(*self.objective, protocol, step=step)

    def draw(self, figure: Figure, module: LightningModule, data: Any, fake: Tensor) -> None:
        """Draw the frame and fill ``readings``; ``fake`` is ``n_samples×D``."""
        raise NotImplementedError

    def act(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        """Sample, measure, draw and log."""
        if not trainer.is_global_zero:
            return
        rng = torch_rng(self.seed, 0, "scores")
        with averaged(trainer, pl_module) as ema:
            z = pl_module.draw_latents(self.n_samples, rng)
            fake = pl_module.generate(z, *labels_for(pl_module, self.n_samples, self.seed))
        figure = Figure(figsize=(6.4, 4.2), dpi=100, layout="constrained")
        self.draw(figure, pl_module, trainer.datamodule, fake)
        self._measured = step, self._protocol(trainer.datamodule, ema)
        figure.suptitle(f"step {step}", x=0.02, ha="left", fontsize=10)
        path = self.folder / f"step_{step:06d}.png"
        with atomic_path(path) as temporary:
            figure.savefig(temporary)
        for logger in trainer.loggers:
            named = {f"theory/{name}": value for name, value in self.readings.items()}
            logger.log_metrics({**named, "kimg": pl_module.images_seen / 1000}, step=step)
        log_picture(trainer.loggers, "theory", open_png(path).convert("RGB"), step)

    def _protocol(self, data: Any, ema: bool) -> Protocol:
        return Protocol(
            extractor="points",
            sha256="",
            resize="none",
            n_fake=self.n_samples,
            ema=ema,
            n_real=min(self.n_samples, len(data.split("test"))),
            split="test",
            data_hash=data.content_hash("test"),
            seed=self.seed,
        )

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Write the GIF: all else is saved."""
        if trainer.is_global_zero:
            join_gif(by_number(self.folder.glob("step_*.png")), self.folder / "training.gif")

    def state_dict(self) -> dict[str, Any]:
        """What was measured last: a run is judged by it."""
        step, protocol = self._measured or (None, None)
        told = json.dumps(protocol.to_dict()) if protocol else None
        return {
            "readings": dict(self.readings), "missed": self._missed, "step": step, "protocol": told
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it back."""
        self.readings, self._missed = state_dict["readings"], state_dict["missed"]
        if state_dict["protocol"] is not None:
            protocol = Protocol.from_dict(json.loads(state_dict["protocol"]))
            self._measured = state_dict["step"], protocol


def critic_probability(module: LightningModule, points: Tensor) -> Tensor:
    """D's belief that points ``N×D`` are real, shape ``N``, on the CPU.

    In evaluation mode: dropout would draw from training's random state and tell another D.
    """
    with evaluating(module.discriminator), torch.no_grad():
        logits = module.discriminator(points.to(module.device))
    return module.objective.loss.probability(logits).flatten().cpu()


class DensityFigure(TheoryFigure):
    """Figure 1 of Goodfellow et al. 2014: data density, generator density and D(x) in one picture.

    Readings: ``wasserstein1`` in standard deviations of the data, and the mean of |D - 0.5| on real
    and on generated samples, which is 0 when the players are in balance.
    """

    @property
    def objective(self) -> tuple[str, float]:
        """The distance between the two distributions."""
        return "wasserstein1", self.readings["wasserstein1"]

    def draw(self, figure: Figure, module: LightningModule, data: Any, fake: Tensor) -> None:
        """Draw the two densities and D(x)."""
        real = data.split("test").images[: self.n_samples]
        mean, std = data.source.mean, data.source.std
        x = torch.linspace(mean - 4 * std, mean + 4 * std, 400)
        self.readings = {
            "wasserstein1": wasserstein1(real, fake) / std,
            "|D(x) - 0.5|": (critic_probability(module, real) - 0.5).abs().mean().item(),
            "|D(G(z)) - 0.5|": (critic_probability(module, fake) - 0.5).abs().mean().item(),
        }
        axes = figure.subplots()
        axes.plot(x, data.source.density(x.numpy()), color=DATA, ls=":", lw=2, label="data")
        axes.hist(
            fake.flatten().cpu().numpy(), bins=100, range=(float(x[0]), float(x[-1])),
            density=True, color=FAKE, alpha=0.45, label="generator",
        )  # fmt: skip
        axes.plot(x, critic_probability(module, x[:, None]), color=CRITIC, lw=2, label="D(x)")
        axes.axhline(0.5, color=CRITIC, lw=0.6, alpha=0.6)
        distance = self.readings["wasserstein1"]
        axes.set(xlabel="x", ylim=(0, 1.02), title=f"W₁ = {distance:.1%} of the data's σ")
        axes.title.set_fontsize(10)
        axes.legend(loc="upper right", frameon=False)


class ModesFigure(TheoryFigure):
    """Generated points over the modes of a ring, with D(x) as the background.

    Readings: ``modes_covered`` and ``good_share``, the share of samples within 3σ of a mode.
    """

    @property
    def objective(self) -> tuple[str, float]:
        """The share of samples that lie near no mode, plus one for each mode that is missed."""
        return "missed_modes + bad_share", self._missed + 1 - self.readings["good_share"]

    def draw(self, figure: Figure, module: LightningModule, data: Any, fake: Tensor) -> None:
        """Draw D(x) as shades, the modes as circles and the samples as dots."""
        source = data.source
        centers = torch.from_numpy(source.centers())
        coverage = mode_coverage(fake.cpu(), centers, source.std)
        self.readings = {
            "modes_covered": float(coverage.covered),
            "good_share": coverage.good_share,
        }
        self._missed = len(centers) - coverage.covered
        reach = 1.5 * source.radius
        line = torch.linspace(-reach, reach, 100)
        grid = torch.cartesian_prod(line, line)
        belief = critic_probability(module, grid).reshape(100, 100).T
        axes = figure.subplots()
        shades = axes.imshow(
            belief, origin="lower", extent=(-reach, reach, -reach, reach),
            vmin=0, vmax=1, cmap="RdBu", alpha=0.45,
        )  # fmt: skip
        figure.colorbar(shades, label="D(x)")
        axes.scatter(*fake[:2000].cpu().T, s=3, color=FAKE, alpha=0.5, label="generator")
        axes.scatter(*centers.T, s=90, facecolors="none", edgecolors=DATA, label="modes")
        covered = f"{coverage.covered} of {len(centers)} modes covered"
        axes.set(title=f"{covered}, {coverage.good_share:.0%} of samples within 3σ")
        axes.title.set_fontsize(10)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.legend(loc="upper right", fontsize=8)
