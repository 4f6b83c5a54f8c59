"""Whole training steps as CUDA graphs, by choice: ``callbacks=[default,cuda_graph]``."""

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn

from ganforge.callbacks.compile import Compile
from ganforge.callbacks.lookup import callback_of
from ganforge.callbacks.recording import CudaRecorder, Repeater, obstacle
from ganforge.utils.errors import UserError


class CudaGraph(Callback):
    """Records a step of each kind once and repeats it, where the device and the model allow it.

    Elsewhere steps are played as usual, and a warning says why. Results are the same.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin when optimizers and a checkpoint's states are in their places."""
        compiled = callback_of(trainer, Compile)
        if compiled is not None and compiled.mode is not None:
            raise UserError(
                f"callbacks.compile.mode={compiled.mode} may record graphs of its own, inside the "
                "steps that callbacks.cuda_graph records: leave one of the two out"
            )
        reason = obstacle(pl_module, trainer.strategy.optimizers, trainer.world_size)
        if reason is None:
            pl_module.repeat = Repeater(pl_module, CudaRecorder(pl_module.noise))
        else:
            rank_zero_warn(f"callbacks.cuda_graph has no effect: {reason}")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:  # noqa: ARG002
        """Free the memory of the recordings."""
        pl_module.repeat = None
