"""``python -m ganforge.commands.train_features data=NAME``: the classifier of ``features=cnn``."""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from omegaconf import DictConfig

from ganforge.config.build import build
from ganforge.config.compose import config_dir
from ganforge.config.sentences import fail
from ganforge.metrics.cnn import CNNFeatures, SmallResNet, resize
from ganforge.metrics.train_cnn import Labelled, Recipe, accuracy, fit, save
from ganforge.utils.errors import GanforgeError, UserError


def train_features(config: DictConfig, command: str) -> Path:
    """Train, measure on the test split and write the classifier; return its path."""
    data, recipe = build(config.data), build(config.recipe)
    data.prepare_data()
    data.setup("fit")
    heads = heads_of(data)
    train, test = (labelled(data, split, heads) for split in ("train", "test"))
    print(f"{len(train)} images of {data.name} to learn from, {len(test)} to test on; {heads}")
    started = time.monotonic()

    def report(epoch: int, loss: float) -> None:
        seconds = time.monotonic() - started
        print(f"epoch {epoch + 1}/{recipe.epochs}  loss {loss:.4f}  {seconds:.0f} s", flush=True)

    network = fit(train, heads, recipe, report)
    metadata = {
        "data": data.name,
        "data_hash": data.content_hash("train"),
        "heads": heads,
        "logits_head": config.logits_head or max(heads, key=lambda name: len(heads[name])),
        "architecture": {
            "size": recipe.size,
            "channels": train.images.shape[1],
            "widths": list(recipe.widths),
            "stride": recipe.stride,
        },
        "recipe": {**asdict(recipe), "widths": list(recipe.widths)},
        "command": command,
        "note": config.note,
        "torch": torch.__version__,
    }
    metadata["test_accuracy"] = measure(network, metadata, test, recipe)
    output = Path(config.output).expanduser()
    save(network, output, metadata)
    print(f"written to {output} ({output.stat().st_size / 1e6:.2f} MB)")
    return output


def heads_of(data: Any) -> dict[str, list[str]]:
    """Name the values of every attribute, or of the class where there is no attribute."""
    if data.attribute_names:
        return {name: list(values) for name, values in data.attribute_names.items()}
    if data.class_names:
        return {"class": list(data.class_names)}
    raise UserError(f"The data set {data.name} has no labels that a classifier could learn.")


def labelled(data: Any, split: str, heads: dict[str, list[str]]) -> Labelled:
    """Read a split's images with the targets of every head."""
    rows = data.split(split).held()
    if data.attribute_names:
        columns = rows["attributes"].unbind(1)
        targets = dict(zip(heads, (column.long() for column in columns), strict=True))
    else:
        targets = {"class": rows["label"].long()}
    return Labelled(rows["image"], targets)


def measure(
    network: SmallResNet, metadata: dict[str, Any], test: Labelled, recipe: Recipe
) -> dict[str, dict[str, float]]:
    """Test accuracy by input side and head, of the file as it will be read back."""
    sides = [recipe.size] + ([recipe.min_size] if recipe.min_size else [])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "classifier.safetensors"
        save(network, path, metadata)
        classifier = CNNFeatures(path)
    result = {}
    for side in sides:
        found = accuracy(lambda x, side=side: classifier.attributes(coarsen(x, side)), test)
        found["mean"] = sum(found.values()) / len(found)
        result[str(side)] = {name: round(value, 5) for name, value in found.items()}
        print(f"test accuracy at {side} pixels: {result[str(side)]}")
    return result


def coarsen(images: torch.Tensor, side: int) -> torch.Tensor:
    """Resize uint8 images to a side, rounded to uint8 again."""
    return resize(images.float(), side).round().clamp(0, 255).byte()


def main(arguments: Sequence[str]) -> None:
    """Compose ``conf/train_features.yaml`` with ``arguments`` and train."""
    from hydra import compose, initialize_config_dir

    try:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            config = compose("train_features", list(arguments))
        if not config.get("data"):
            raise UserError("Name a labelled data set: data=avatars, data=fashion_mnist, ...")
        command = " ".join(["python -m ganforge.commands.train_features", *arguments])
        train_features(config, command)
    except GanforgeError as error:
        fail(str(error), error.exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
