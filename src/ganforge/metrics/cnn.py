"""Features and attribute logits by small classifiers that ship with the package."""

import json
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganforge.metrics.features import Features, check_images, with_channels
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import file_sha256

SHIPPED = files("ganforge.metrics") / "weights"


class Residual(nn.Module):
    """Two 3×3 convolutions around a skip connection (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        return F.relu(x + self.body(x))


class SmallResNet(nn.Module):
    """Residual classifier with one linear head per attribute.

    ``widths[0]`` is the stem's; each further one halves the side. ``stride`` of the stem saves time
    on large inputs. Input float ``N×channels×size×size`` in ``[-1, 1]``.
    """

    def __init__(
        self, channels: int, widths: list[int], stride: int, heads: dict[str, list[str]]
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [*self._conv(channels, widths[0], stride), Residual(widths[0])]
        for narrow, wide in pairwise(widths):
            layers += [*self._conv(narrow, wide, 2), Residual(wide)]
        self.body = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({k: nn.Linear(widths[-1], len(v)) for k, v in heads.items()})

    @staticmethod
    def _conv(narrow: int, wide: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(narrow, wide, 3, stride, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(wide), nn.ReLU()]

    def features(self, x: Tensor) -> Tensor:
        """Return the pooled penultimate layer, ``N×widths[-1]``."""
        return self.body(x).mean((2, 3))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the logits of every head."""
        features = self.features(x)
        return {name: head(features) for name, head in self.heads.items()}


class CNNFeatures:
    """A trained ``SmallResNet`` as feature extractor and attribute classifier.

    ``weights`` is a data set's name (shipped, or trained into ``data_dir/weights``) or a path to a
    ``.safetensors`` file of ``ganforge.commands.train_features``. The logits are those of the head
    that ``metadata["logits_head"]`` names.
    """

    resize = "bilinear, antialias"

    def __init__(self, weights: str | Path, data_dir: str | Path | None = None) -> None:
        path = find_weights(str(weights), data_dir)
        self.metadata, state = read_weights(path)
        self.sha256 = file_sha256(path)
        self.name = f"cnn-{self.metadata['data']}"
        self.heads: dict[str, list[str]] = self.metadata["heads"]
        architecture = self.metadata["architecture"]
        self.size: int = architecture["size"]
        self.channels: int = architecture["channels"]
        self.dim: int = architecture["widths"][-1]
        self.network = build_network(architecture, self.heads, state, path)

    def to(self, device: torch.device | str) -> Self:
        """Move the network to a device."""
        self.network.to(device)
        return self

    def prepare(self, images: Tensor) -> Tensor:
        """Turn uint8 images of any size into the network's float input in ``[-1, 1]``."""
        images = with_channels(check_images(images), self.channels)
        images = images.to(next(self.network.parameters()).device)
        return resize(images.float(), self.size).div_(127.5).sub_(1)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Features:
        """Return penultimate features and the logits of the documented head."""
        features = self.network.features(self.prepare(images))
        return Features(features, self.network.heads[self.metadata["logits_head"]](features))

    @torch.inference_mode()
    def logits_of(self, features: Tensor) -> dict[str, Tensor]:
        """Return the logits ``N×values`` of every head for penultimate features on the CPU."""
        device = next(self.network.parameters()).device
        return {k: head(features.to(device)).cpu() for k, head in self.network.heads.items()}

    @torch.inference_mode()
    def attributes(self, images: Tensor) -> dict[str, Tensor]:
        """Return the logits ``N×values`` of every head; ``heads`` names the values."""
        return self.network(self.prepare(images))


def resize(images: Tensor, size: int) -> Tensor:
    """Resize float images to ``size×size``: bilinear, with antialias, channels last in memory."""
    if images.shape[-2:] != (size, size):
        images = F.interpolate(images, (size, size), mode="bilinear", antialias=True)
    return images.contiguous(memory_format=torch.channels_last)


def shipped_names() -> list[str]:
    """Data sets whose classifiers are in the package."""
    return sorted(Path(file.name).stem for file in SHIPPED.iterdir() if "safetensors" in file.name)


def find_weights(weights: str, data_dir: str | Path | None) -> Path:
    """Find a classifier by path, in the package, or in ``data_dir/weights``; else a UserError."""
    if weights.endswith(".safetensors"):
        if Path(weights).is_file():
            return Path(weights)
        raise UserError(f"There is no classifier file {weights}.")
    places = [Path(str(SHIPPED)) / f"{weights}.safetensors"]
    if data_dir is not None:
        places.append(Path(data_dir).expanduser() / "weights" / f"cnn-{weights}.safetensors")
    for path in places:
        if path.is_file():
            return path
    raise UserError(
        f"There is no cnn classifier for the data set {weights!r} (shipped: "
        f"{', '.join(shipped_names())}): train one with 'python -m "
        f"ganforge.commands.train_features data={weights}' if it has labels, score with one of "
        "another data set (features=cnn features.weights=NAME), or take features=inception or "
        "features=efficientnet_lite0."
    )


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read metadata and float32 tensors of a classifier file; else a DamagedFileError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = {k: json.loads(v) for k, v in (file.metadata() or {}).items()}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedFileError(f"The classifier file {path} cannot be read: {error}.") from error
    missing = {"architecture", "data", "heads", "logits_head"} - set(metadata)
    if missing:
        raise DamagedFileError(
            f"The classifier file {path} does not say its {', '.join(sorted(missing))}: make one "
            "with ganforge.commands.train_features."
        )
    # Half precision halves the file; arithmetic is in float32.
    return metadata, {k: v.float() if v.is_floating_point() else v for k, v in state.items()}


def build_network(
    architecture: dict[str, Any], heads: dict[str, list[str]], state: dict[str, Tensor], path: Path
) -> SmallResNet:
    """Build the network without drawing initial weights: measuring must not move the global RNG."""
    with torch.device("meta"):
        network = SmallResNet(
            architecture["channels"], architecture["widths"], architecture["stride"], heads
        )
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise DamagedFileError(
            f"The tensors of {path} do not fit the architecture it names: {error}"
        ) from error
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
