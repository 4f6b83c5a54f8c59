"""Whether settings are of the kind that their names promise, before anything is made from them.

A name means the same wherever it stands, so one table serves every group. It holds for what
ganforge, torch and Lightning are configured with; classes of the user's own may use names freely.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from ganforge.utils.errors import UserError

LARGEST_SEED = 2**32 - 1  # of numpy


@dataclass(frozen=True)
class Kind:
    """What a value must be: in words, and as a test of a value that is not None."""

    words: str
    holds: Callable[[Any], bool]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def whole(lowest: int, highest: float = math.inf) -> Kind:
    """A whole number of a range."""
    upper = "" if highest == math.inf else f" and at most {highest}"
    words = f"a whole number of at least {lowest}{upper}"
    return Kind(words, lambda value: _is_whole(value) and lowest <= value <= highest)


AT_LEAST_0, AT_LEAST_1 = whole(0), whole(1)
# More of them than a machine makes or a picture shows in days.
MOST = 10_000_000
COUNT, ON_A_GRID = whole(1, MOST), whole(1, 100)
SEED = whole(0, LARGEST_SEED)
ABOVE_0 = Kind("a number above 0", lambda value: _is_number(value) and value > 0)
FROM_0 = Kind("a number of at least 0", lambda value: _is_number(value) and value >= 0)
SHARE = Kind("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
SIGN = Kind("a number from -1 to 1", lambda value: _is_number(value) and -1 <= value <= 1)
BETAS = Kind(
    "two numbers from 0 up to but not 1, such as [0.5,0.999]",
    lambda value: isinstance(value, ListConfig) and len(value) == 2
    and all(_is_number(beta) and 0 <= beta < 1 for beta in value),
)  # fmt: skip
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
STEPS = Kind(
    "a whole number of at least 1, or -1 for no end",
    lambda value: _is_whole(value) and (value >= 1 or value == -1),
)
TEXT = Kind("a word or a path", lambda value: isinstance(value, str))

KINDS: dict[str, Kind] = {
    **dict.fromkeys(("seed", "real_seed"), SEED),
    **dict.fromkeys(("max_steps", "max_epochs"), STEPS),
    **dict.fromkeys(
        ("accumulate", "blocks", "candidates", "channels", "channels_a", "components",
         "downsamplings", "every", "every_n_steps", "gradient_every", "heard", "interval", "k",
         "latent_dim", "load_size", "log_every_n_steps", "looks", "measured", "modes", "n_critic",
         "num_nodes", "pool", "probe_every_n_steps", "results", "scores", "shown", "size", "steps",
         "strengths", "tile", "units", "width", "window", "windows", "workers"),
        AT_LEAST_1,
    ),
    **dict.fromkeys(
        ("batch_size", "frames", "n", "n_images", "n_real", "n_samples", "pairs", "pictures",
         "samples", "sentences", "test_count", "train_count"),
        COUNT,
    ),
    **dict.fromkeys(("columns", "rows"), ON_A_GRID),
    **dict.fromkeys(
        ("listed", "neighbours", "overlap", "path_length", "path_pairs", "pool_size",
         "replicates", "shift", "warm_up_steps"),
        whole(0, MOST),
    ),
    **dict.fromkeys(
        ("clip_gradient", "half_life_kimg", "kimg", "learning_rate", "lr", "radius", "ramp_up",
         "limit_train_batches", "rate_factor", "reach", "speed_kimg", "std", "truncation"),
        ABOVE_0,
    ),
    **dict.fromkeys(
        ("classifier_weight", "diversity", "grace", "hiss", "lambda_adversarial", "lambda_cycle",
         "lambda_identity", "lambda_l1", "least", "loudness", "margin", "most", "movement", "norm",
         "pixel_weight", "prior_weight", "spread", "times", "weight", "weight_decay"),
        FROM_0,
    ),
    **dict.fromkeys(
        ("confidence", "decay", "decay_from", "dropout", "floor", "label_smoothing", "loss_share",
         "p", "ratio", "share", "smoothing", "test_fraction"),
        SHARE,
    ),
    **dict.fromkeys(
        ("channels_last", "convert", "flip", "fused", "lossless", "noise_at_test", "overwrite",
         "paired", "half", "picture", "private",
         "rescale", "trusted", "truth", "uint8"),
        FLAG,
    ),
    **dict.fromkeys(
        ("address", "checkpoint", "data_path", "device", "direction", "exemplar", "extractor",
         "fake", "folder", "held_out", "input", "landmarks", "license", "metric", "output",
         "outputs", "path", "project", "real", "repo", "run", "sound", "voice",
         "test_folder", "train_folder"),
        TEXT,
    ),
    "runs": Kind(
        "a list of folders",
        lambda value: isinstance(value, ListConfig) and all(isinstance(v, str) for v in value),
    ),
    "betas": BETAS,
    "port": whole(1, 65535),
    "target": SIGN,
}  # fmt: skip
NEEDED = {
    "seed", "tile", "overlap", "overwrite", "picture", "half", "private", "uint8", "lr",
    "batch_size", "width", "device", "runs", "address", "outputs", "port",
}  # fmt: skip
PARTS = ("model.generator", "model.discriminator", "model.objective", "model.objective.loss")
OURS = ("ganforge.", "torch.", "lightning.")


# Groups that a command which has them cannot do without.
GROUPS = ("data", "hydra", "metrics", "model", "paths", "resume", "sections", "tool", "trainer")


def check_settings(config: DictConfig) -> None:
    """Raise a UserError that names the first setting which is not of its kind."""
    for key in GROUPS:
        if key in config and not OmegaConf.is_missing(config, key):
            value = config[key]
            if not isinstance(value, DictConfig):
                told = "null" if value is None else value
                raise UserError(
                    f"{key}={told} is no group of settings, and nothing can be done without it: "
                    f"leave {key} out, or choose one that --help lists"
                )
    if "fake" in config and config.run is None and config.fake is None:
        raise UserError(
            "run must be given: run=outputs/<run>, or fake=... and real=... (folders, zips, data "
            "sets such as avatars:test, runs)"
        )
    asked = _asked(config)
    for key, name, value in _settings(config, ""):
        if name in KINDS and (value is not None or name in NEEDED or key in asked):
            kind = KINDS[name]
            if not kind.holds(value):
                told = "null" if value is None else value
                raise UserError(f"{key}={told} must be {kind.words}: change {key}")
        if value is None and key in PARTS and "trainer" in config:
            raise UserError(f"{key} is null, and nothing can be trained without it: leave it out")
    _check_norm(config)


def _asked(config: DictConfig) -> set[str]:
    """Keys that this command cannot do without, told by those that it has."""
    keys = {"checkpoint"} if "device" in config else set()
    if "real" not in config and "address" not in config:  # evaluate and lab may do without a run
        keys.add("run")
    if "input" in config or "chunk_mb" in config:
        keys |= {"input", "output"}
    return keys


def _check_norm(config: DictConfig) -> None:
    """Raise a UserError where a norm is chosen for a model that does not ask for it."""
    if config.get("norm") is None or "model" not in config:
        return
    if "${norm." not in OmegaConf.to_yaml(config.model):
        raise UserError(
            "a norm is chosen, but the model has no use for it: leave norm out, or let its critic "
            "take ${norm.layer} and ${norm.weights}"
        )


def _settings(
    node: DictConfig, prefix: str, above: str = OURS[0]
) -> Iterator[tuple[str, str, Any]]:
    """Key in full, its last word and its value of all settings that are ours to judge.

    Settings without a class belong to the class ``above`` them.
    """
    target = str(node.get("_target_") or above)
    for word, value in node.items():
        key = f"{prefix}.{word}" if prefix else str(word)
        if isinstance(value, DictConfig) and word != "edit":  # its keys are attributes of images
            yield from _settings(value, key, target)
        elif target.startswith(OURS) and not _is_list_of_parts(value):
            yield key, str(word), value


def _is_list_of_parts(value: Any) -> bool:
    """Whether names were chosen freely, as those of a dashboard's sections are."""
    return isinstance(value, ListConfig) and any(isinstance(part, DictConfig) for part in value)
