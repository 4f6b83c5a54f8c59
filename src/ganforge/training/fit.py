"""Data, model and callbacks meet, and a run comes out."""

import logging
import os
import sys
import warnings
from pathlib import Path

from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf

from ganforge.callbacks.checkpoints import Checkpoints
from ganforge.callbacks.loggers import JsonlLogger, go_on_from, told_once
from ganforge.callbacks.same_data import SameData
from ganforge.config.build import build, build_all, build_as
from ganforge.config.secrets import hide_secrets, plain_for_loggers
from ganforge.config.trust import remember
from ganforge.training.cluster import requeue_in_slurm
from ganforge.training.devices import batch_norm_options, pick_precision, process_options
from ganforge.training.locks import locked
from ganforge.training.outcome import record_outcome
from ganforge.training.processes import further_processes
from ganforge.training.report import print_training_report
from ganforge.training.resume import (
    State,
    begin_again,
    has_ended,
    need_fit,
    state_to_continue,
    state_to_train_from,
)
from ganforge.utils.errors import PreemptedError, UserError
from ganforge.utils.files import explained_writing, remove_partials
from ganforge.utils.runs import Run, link_latest
from ganforge.utils.seeds import seed_globals
from ganforge.utils.terminal import relative_path, telling, told_if_slow

# Messages of libraries about choices that are ours, or that a user cannot act on.
QUIET = (
    ".*does not have many workers.*",
    ".*`training_step` returned `None`.*",
    ".*LeafSpec.*",
    ".*exists and is not empty.*",
    ".*find_unused_parameters.*",
    ".*`srun` command is available.*",
    ".*GPU available but not used.*",
    ".*torch.distributed.nn.functional.all_gather is deprecated.*",
)


def build_trainer(config: DictConfig, run: Run, forget_after: int | None = None) -> Trainer:
    """The trainer with the run's callbacks and loggers; these go on from a step where given."""
    callbacks, loggers = (
        build_all(config, "callbacks", Callback),
        build_all(config, "logger", Logger),
    )
    loggers = [JsonlLogger(run.metrics), *loggers]
    if forget_after is not None:
        go_on_from(loggers, forget_after)
    changed = [key.partition(".")[0] for key in config.resume.allow_change]
    callbacks.append(SameData(run.data, may_differ="data" in changed))
    # Whatever the order of the configuration: a checkpoint holds what the others did in its step.
    callbacks.sort(key=lambda callback: isinstance(callback, Checkpoints))
    return build(
        config.trainer,
        callbacks=callbacks,
        logger=loggers,
        precision=pick_precision(config.trainer.precision, config.trainer.accelerator),
        **batch_norm_options(config.trainer),
        **process_options(config.trainer),
    )


def train(config: DictConfig) -> float | None:
    """Train, and return the best monitored score (None where nothing is monitored)."""
    keep_quiet()
    folder = OmegaConf.select(config, "resume.run")
    run = Run(Path(folder or config.paths.output_dir))
    if rank_zero_only.rank:  # the first process has the lock, checks and writes
        return _fit(config, run, state_to_train_from(run, config) if folder else None)
    with locked(run):
        if not folder:
            return _fit(config, run, None)
        state = state_to_continue(config)
        remove_partials(run.folder)
        print(_how_it_goes_on(run, state, config))
        return _fit(config, run, state, forget_after=state.step if state else -1)


def _fit(
    config: DictConfig, run: Run, state: State | None, forget_after: int | None = None
) -> float | None:
    """Train from ``state``; loggers forget what they were told of steps after ``forget_after``."""
    exit_code = 1
    try:
        if rank_zero_only.rank == 0:
            hide_secrets(run)
        seed_globals(config.seed, 0, "weights")  # alike in all processes
        composed = config.copy()  # what is built resolves settings in their place
        module = build_as(config.model, LightningModule)
        if state is not None:
            need_fit(module, state)
        data = build_as(config.data, LightningDataModule)
        trainer = build_trainer(_of_what_is_left(config, state), run, forget_after)
        forgotten = None
        if rank_zero_only.rank == 0:
            if forget_after is not None:
                begin_again(composed)
            forgotten = remember(run)
        log_config(trainer, config)
        checkpoint = state.path if state else None
        # Loggers of others write from threads of their own, and know no sentence for a full disk.
        with explained_writing(run.folder), told_once(), further_processes(trainer, config, run):
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        if trainer.global_step == 0:
            raise UserError(
                "not a single step was trained: trainer.limit_train_batches, trainer.max_epochs or "
                "trainer.max_time leaves no room for one"
            )
        exit_code = 0
    except PreemptedError as stop:
        exit_code = stop.exit_code
        if not trainer.is_global_zero:
            return None  # the first process tells
        if stop.signal == "SIGUSR1" and config.resume.auto:
            print(requeue_in_slurm(), file=sys.stderr)
        raise
    finally:
        finish_wandb(exit_code)
    if not trainer.is_global_zero:
        return None
    link_latest(run)
    value = record_outcome(run, trainer)
    if forgotten:
        print(f"ganforge: {forgotten}", file=sys.stderr)
    with telling("the report"):
        print_training_report(run, trainer, module)
    return value


def _of_what_is_left(config: DictConfig, state: State | None) -> DictConfig:
    """The same, or no further step where training had ended: what follows it is done again."""
    if not has_ended(state, config):
        return config
    config = config.copy()
    config.trainer.max_steps = state.step
    return config


def _how_it_goes_on(run: Run, state: State | None, config: DictConfig) -> str:
    if has_ended(state, config):
        return f"Finishing {relative_path(run.folder)}: its training ended with step {state.step}."
    return f"Going on with {relative_path(run.folder)} after step {state.step if state else 0}."


def keep_quiet() -> None:
    """Leave the terminal to the progress bar and the report."""
    for message in QUIET:
        warnings.filterwarnings("ignore", message)
    for library in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(library).setLevel(logging.WARNING)
    os.environ.setdefault("WANDB_SILENT", "true")


def log_config(trainer: Trainer, config: DictConfig) -> None:
    """Give every logger the resolved configuration."""
    plain = plain_for_loggers(config)
    for logger in trainer.loggers:
        logger.log_hyperparams(plain)


def finish_wandb(exit_code: int) -> None:
    """End a W&B run, so that the next job of this process gets one of its own."""
    if "wandb" in sys.modules:
        with told_if_slow("handing the rest to W&B"):
            sys.modules["wandb"].finish(exit_code=exit_code)
