"""Refuse models whose training diverged."""

from torch import Tensor, nn

from ganforge.trained.load import LoadedRun
from ganforge.utils.errors import UserError


def refuse_broken(loaded: LoadedRun) -> None:
    """Raise a UserError where training diverged: NaN would become black pixels, silently.

    Finite weights may still make NaN; from now on the generators say so where they do.
    """
    other = "best" if loaded.checkpoint == "last" else "last"
    remedy = f"the training diverged; try checkpoint={other}, or train with smaller rates"

    def refuse(network: nn.Module, inputs: object, images: Tensor) -> None:  # noqa: ARG001
        if not images.isfinite().all():
            raise UserError(f"{loaded.run.folder} makes pixels that are NaN or infinity: {remedy}")

    for name in loaded.module.generators().values():
        network = getattr(loaded.module, name)
        state = network.state_dict().items()
        bad = [key for key, t in state if t.is_floating_point() and not t.isfinite().all()]
        if bad:
            raise UserError(
                f"{loaded.run.folder} makes no images: its {name}'s {bad[0]} holds NaN or "
                f"infinity, {remedy}"
            )
        network.register_forward_hook(refuse)
