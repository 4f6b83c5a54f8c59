"""The three networks of MTCNN (Zhang, Zhang, Li, Qiao 2016), which find faces and five points.

Each is deeper than the last and sees what the last let through: 12, 24 and 48 pixels a side. The
parts are named as in the weights that the package ``facenet-pytorch`` holds; those were trained on
columns before rows, hence the transposition before a dense layer.
"""

from torch import Tensor, nn


class ProposalNet(nn.Module):
    """P-Net: a pyramid level ``N×3×H×W`` to the chance of a face and a box for every 12×12 cell."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)
        self.pool = nn.MaxPool2d(2, 2, ceil_mode=True)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Chances ``N×h×w`` and boxes ``N×4×h×w``, a cell every two pixels."""
        x = self.pool(self.prelu1(self.conv1(images)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(1)[:, 1], self.conv4_2(x)


class RefinementNet(nn.Module):
    """R-Net: candidates ``N×3×24×24`` to chances ``N`` and boxes ``N×4``."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Judge every candidate."""
        x = self.pool(self.prelu1(self.conv1(images)))
        x = self.pool(self.prelu2(self.conv2(x)))
        x = self.prelu3(self.conv3(x))
        x = self.prelu4(self.dense4(x.permute(0, 3, 2, 1).flatten(1)))
        return self.dense5_1(x).softmax(1)[:, 1], self.dense5_2(x)


class OutputNet(nn.Module):
    """O-Net: candidates ``N×3×48×48`` to chances ``N``, boxes ``N×4`` and points ``N×2×5``.

    The points are x and y of both eyes, the nose and the corners of the mouth, as shares of the
    box; left is the picture's left.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2 = nn.Linear(256, 2), nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)
        self.pool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.pool2 = nn.MaxPool2d(2, 2, ceil_mode=True)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Judge every candidate."""
        x = self.pool3(self.prelu1(self.conv1(images)))
        x = self.pool3(self.prelu2(self.conv2(x)))
        x = self.pool2(self.prelu3(self.conv3(x)))
        x = self.prelu4(self.conv4(x))
        x = self.prelu5(self.dense5(x.permute(0, 3, 2, 1).flatten(1)))
        chance = self.dense6_1(x).softmax(1)[:, 1]
        return chance, self.dense6_2(x), self.dense6_3(x).view(-1, 2, 5)


def normalised(images: Tensor) -> Tensor:
    """Levels 0 to 255 as the networks were trained on them."""
    return (images - 127.5) / 128
