"""ganforge as a user gets it: `ganforge train` with its loggers, progress bar and averages."""

from pathlib import Path

from lightning.pytorch import Callback

from benchmarks.settings import Settings, compose_training
from benchmarks.stopwatch import Stopwatch, StopwatchCallback
from ganforge.config.build import build
from ganforge.models.gan import GAN
from ganforge.training.fit import build_trainer, keep_quiet, log_config
from ganforge.utils.runs import Run
from ganforge.utils.seeds import seed_globals


def fit(settings: Settings, observer: Callback) -> GAN:
    """Train as ``ganforge train`` does, with one more callback, and return the module."""
    keep_quiet()
    config = compose_training(settings)
    seed_globals(config.seed, 0, "weights")
    data, module = build(config.data), build(config.model)
    trainer = build_trainer(config, Run(Path(config.paths.output_dir)))
    trainer.callbacks.append(observer)
    log_config(trainer, config)
    trainer.fit(module, datamodule=data)
    return module


def measure(settings: Settings) -> Stopwatch:
    """The timed steps."""
    timer = StopwatchCallback(settings.warmup, settings.steps)
    fit(settings, timer)
    return timer.watch
