"""Rules on the gradients of both players and on whether the generator moves at all."""

from dataclasses import dataclass
from statistics import median

from ganforge.callbacks.doctor.vitals import Case, Finding, History, known, lately, mean

PLAYERS = {"generator_gradient": "generator", "critic_gradient": "critic"}


@dataclass(frozen=True)
class PlayerStuck:
    """A player's weights are what they were at ``looks`` looks on end: not one has changed."""

    looks: int = 3

    def __call__(self, history: History, case: Case) -> Finding | None:
        """Look at both players, the generator first."""
        rates = {"generator": case.generator_rate, "critic": case.critic_rate}
        for player, rate in rates.items():
            name = f"{player}_update"
            recent = known(history, name)[-self.looks :]
            if len(recent) < self.looks or any(getattr(v, name) for v in recent):
                continue
            gradient = mean(lately(history, 100), f"{player}_gradient")
            optimizer = "generator" if player == "generator" else "discriminator"
            return Finding(
                f"{player}_stuck",
                f"the {player} does not move",
                f"its weights are what they were before step {recent[0].step}; its learning rate "
                f"began at {rate:.2g}, the norm of its gradient is {gradient:.2g}",
                case.usable([f"model.optimizer_{optimizer}.lr=0.0002"]),
                {"rate": rate, "gradient": gradient},
            )
        return None


@dataclass(frozen=True)
class PlayersRace:
    """The critic is hardly better than guessing, and yet samples of the same latents keep jumping.

    In balance both are at rest. ``loss_share`` is the critic's loss over that of guessing, the mean
    over ``steps``; ``movement`` the mean of ``looks`` looks.
    """

    loss_share: float = 0.9
    movement: float = 0.95
    looks: int = 3
    steps: int = 200

    def __call__(self, history: History, case: Case) -> Finding | None:
        """Compare both means with their limits."""
        if case.floor is None or case.chance is None:
            return None
        loss = mean(lately(history, self.steps), "critic_loss")
        recent = known(history, "movement")[-self.looks :]
        movement = mean(recent, "movement")
        share = (loss - case.floor) / (case.chance - case.floor)
        if len(recent) < self.looks or not (share > self.loss_share and movement > self.movement):
            return None
        return Finding(
            "players_race",
            "the players run past each other",
            f"the critic does hardly better than guessing (loss {loss:.3g}, guessing costs "
            f"{case.chance:.3g}), yet from look to look a latent's sample moves {movement:.0%} of "
            "the distance of two real ones",
            case.usable([*case.rate("generator", 0.1), *case.rate("critic", 0.1)]),
            {"critic_loss": loss, "movement": movement},
        )


@dataclass(frozen=True)
class GradientsVanish:
    """A player gets no gradient: a norm below ``norm`` over ``steps`` steps."""

    norm: float = 1e-7
    steps: int = 100

    def __call__(self, history: History, case: Case) -> Finding | None:
        """Look at both players, the generator first."""
        recent = lately(history, self.steps)
        for name, player in PLAYERS.items():
            norms = [getattr(v, name) for v in known(recent, name)]
            if norms and max(norms) < self.norm:
                return Finding(
                    "gradients_vanish",
                    f"no gradient reaches the {player}",
                    f"norm {max(norms):.2g} over {self.steps} steps: units are dead or the loss is "
                    "saturated",
                    case.usable(["loss=non_saturating", *case.flatter]),
                    {name: max(norms)},
                )
        return None


@dataclass(frozen=True)
class GradientsExplode:
    """A player's gradient is ``times`` its usual norm, at every window of ``steps`` steps.

    Usual is the median of the windows before, of which there must be ``windows``.
    """

    times: float = 100.0
    steps: int = 50
    windows: int = 4

    def __call__(self, history: History, case: Case) -> Finding | None:
        """Compare the last windows with those before."""
        recent = lately(history, self.steps)
        for name, player in PLAYERS.items():
            before = [getattr(v, name) for v in known(history[: -len(recent) or None], name)]
            now = [getattr(v, name) for v in known(recent, name)]
            if len(before) < self.windows or not now:
                continue
            usual = median(before)
            if usual > 0 and min(now) > self.times * usual:
                return Finding(
                    "gradients_explode",
                    f"the gradients of the {player} explode",
                    f"norm {now[-1]:.3g}, usually {usual:.3g}",
                    case.usable(["model.clip_gradient=1.0", *case.flatter, "norm=spectral"]),
                    {name: now[-1], "usual": usual},
                )
        return None
