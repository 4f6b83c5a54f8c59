"""Whether eyes are open: a small classifier, trained by ``ganforge.commands.train_eyes``."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganforge.metrics.features import with_channels
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import file_sha256

FILE = "eye_state.safetensors"
SIDE = 24  # pixels of the eye that the classifier looks at
CROP = 0.53  # its side, in distances between the eyes


class EyeStateNet(nn.Sequential):
    """Grey eyes ``N×1×24×24``, levels 0 to 255, to logits ``N×1`` of being open.

    Each patch is brought to mean 0 and spread 1 first: light tells nothing.
    """

    def __init__(self, width: int = 16) -> None:
        layers: list[nn.Module] = []
        narrow = 1
        for wide in (width, 2 * width, 4 * width):
            conv = nn.Conv2d(narrow, wide, 3, padding=1)
            layers += [conv, nn.BatchNorm2d(wide), nn.ReLU(), nn.MaxPool2d(2)]
            narrow = wide
        super().__init__(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(36 * width, 1))

    def forward(self, eyes: Tensor) -> Tensor:
        """Judge every eye."""
        mean, spread = (take(dim=(1, 2, 3), keepdim=True) for take in (eyes.mean, eyes.std))
        return super().forward((eyes - mean) / spread.clamp_min(2))


class EyeState:
    """The chance that the eyes of a window are open; the weights are read when they are needed."""

    def __init__(self, weights: Path | str) -> None:
        self._path = Path(weights).expanduser()

    def key(self) -> dict[str, Any]:
        """What decides the answer."""
        self._check()
        return {"eye_state": file_sha256(self._path)}

    def chance(self, windows: Tensor, anchors: Sequence[Sequence[float]]) -> Tensor:
        """Mean over both eyes, ``N``, of windows uint8 ``N×C×H×W`` with the eyes at ``anchors``.

        Anchors are fractions of the window's width, as those of a ``Region``.
        """
        grey = with_channels(windows, 1).float()
        with torch.inference_mode():
            eyes = [crop_eyes(grey, anchors, number) for number in (0, 1)]
            return sum(self._network(eye).sigmoid().squeeze(1) for eye in eyes) / 2

    @property
    def is_there(self) -> bool:
        """Whether somebody has trained it."""
        return self._path.is_file()

    @property
    def missing(self) -> str:
        """What to do where nobody has."""
        return (
            f"there is no classifier of eyes in {self._path}: train it with python -m "
            "ganforge.commands.train_eyes CEW.zip"
        )

    def _check(self) -> None:
        if not self.is_there:
            raise UserError(f"{self.missing}, or leave it out with data.source.judge=null")

    @cached_property
    def _network(self) -> EyeStateNet:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        self._check()
        network = EyeStateNet()
        try:
            network.load_state_dict(load_file(self._path))
        except (SafetensorError, RuntimeError, OSError) as error:
            raise DamagedFileError(
                f"{self._path} holds no classifier of eyes ({str(error).splitlines()[0]}): train "
                "it again with python -m ganforge.commands.train_eyes"
            ) from error
        return network.eval()

    def __getstate__(self) -> dict[str, Any]:
        """A path: another process reads the weights itself."""
        return {"_path": self._path}


def crop_eyes(grey: Tensor, anchors: Sequence[Sequence[float]], number: int) -> Tensor:
    """One eye of every window, ``N×1×24×24``, of grey ``N×1×H×W``."""
    (left, _), (right, _) = anchors
    height, width = grey.shape[-2:]
    half = CROP * (right - left) / 2
    x, y = anchors[number]
    steps = ((torch.arange(SIDE) + 0.5) / SIDE * 2 - 1) * half
    # Of -1 to 1 over each side of the window; anchors count its width.
    columns = (x + steps) * 2 - 1
    rows = (y + steps) * width / height * 2 - 1
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], dim=-1)
    places = places.expand(len(grey), -1, -1, -1)
    return F.grid_sample(grey, places, padding_mode="border", align_corners=False)
