"""Classification accuracy score of a run: images and labels for ``ClassAccuracy``."""

from dataclasses import replace
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ganforge.config.build import build
from ganforge.metrics.protocol import Score
from ganforge.metrics.scorer import Origin, Scorer
from ganforge.metrics.train_cnn import Labelled
from ganforge.trained.load import build_data
from ganforge.utils.errors import UserError


def need_classes(config: DictConfig, sides: Any) -> None:
    """Raise a UserError, before anything is computed, if ``classifier`` asks for too much."""
    if not OmegaConf.select(config, "classifier"):
        return
    loaded = sides.fake.loaded
    if loaded is None or sides.fakes.labels is None:
        raise UserError(f"classifier=cas needs a class-conditional model: {sides.fake.name} is not")
    train = build_data(loaded, config.data_path).split("train")
    build(config.classifier).check(sides.fakes.count, len(train))


def class_accuracy(
    config: DictConfig, sides: Any, scorer: Scorer, origin: Origin
) -> tuple[list[Score], str | None]:
    """The score where ``classifier`` is chosen; ``need_classes`` has looked at what it needs."""
    if not OmegaConf.select(config, "classifier"):
        return [], None
    metric, data = build(config.classifier), build_data(sides.fake.loaded, config.data_path)
    made = torch.cat([make().cpu() for make in sides.fakes.load()])
    value = metric(
        Labelled(made, {"class": sides.fakes.labels()}),
        _labelled(data, "train", len(made), config.seed),
        _labelled(data, "test", len(data.split("test")), config.seed),
    )
    hashes = tuple((f"{split}_hash", data.content_hash(split)) for split in ("train", "test"))
    value = replace(value, settings=value.settings + hashes)
    return [scorer.record(metric.name, value, len(made), True, origin)], None


def _labelled(data: Any, split: str, count: int, seed: int) -> Labelled:
    """``count`` images (at most all) of a split with their classes."""
    whole = data.split(split)
    rows = whole.rows(data.choose(split, min(count, len(whole)), seed))
    return Labelled(rows["image"], {"class": rows["label"].long()})
