"""Networks compiled for their training steps, by choice: ``callbacks=[default,compile]``."""

import os
import shutil
from collections.abc import Sequence

from lightning.pytorch import Callback, LightningModule, Trainer

from ganforge.utils.errors import UserError


class Compile(Callback):
    """Compiles the named networks in place; names of weights and averages stay as they are.

    ``mode=reduce-overhead`` records CUDA graphs where there is CUDA. A critic whose penalty is
    differentiated twice is refused: ``torch.compile`` has no double backward.
    """

    def __init__(
        self,
        networks: Sequence[str] = ("generator",),
        mode: str | None = None,
        backend: str = "inductor",
    ) -> None:
        self.names = tuple(networks)
        self.mode = mode
        self.backend = backend

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        """Compile at the first forward pass; shapes stay the same from step to step."""
        for name in self.names:
            self._check(name, pl_module)
            network = getattr(pl_module, name)
            network.compile(mode=self.mode, backend=self.backend, dynamic=False)

    def _check(self, name: str, module: LightningModule) -> None:
        generators, critics = module.players()
        known = {id(network): key for key, network in module.named_children()}
        names = [known[id(network)] for network in (*generators, *critics)]
        if name not in names:
            raise UserError(
                f"callbacks.compile.networks names {name!r}, which this model does not have: "
                f"choose from {', '.join(names)}"
            )
        of_critic = any(getattr(module, name) is critic for critic in critics)
        objective = module.objective
        penalties = objective.regularizers if of_critic else objective.generator_terms
        if penalties:
            raise UserError(
                f"callbacks.compile.networks names {name!r}, but "
                f"{'regularizer' if of_critic else 'generator_term'} {', '.join(penalties)} may "
                "differentiate it twice, which torch.compile cannot: leave it out"
            )
        compiler = os.environ.get("CXX", "g++")
        if self.backend == "inductor" and module.device.type == "cpu" and not _found(compiler):
            raise UserError(
                f"callbacks.compile needs a C++ compiler on a CPU, and there is no {compiler!r}: "
                "install one, name it in CXX, or leave the callback out"
            )


def _found(program: str) -> bool:
    return shutil.which(program) is not None
