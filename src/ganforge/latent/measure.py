"""Small statistics in torch, each checked against SciPy or a closed form in the tests."""

from dataclasses import dataclass

import torch
from torch import Tensor


def ranks(values: Tensor) -> Tensor:
    """Rank the last dimension from 1; ties share their mean rank."""
    below = (values[..., None, :] < values[..., :, None]).sum(-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(-1)
    return below + (equal + 1) / 2


def spearman(rows: Tensor) -> Tensor:
    """Rank correlation of each row of ``N×stops`` with the number of the stop, shape ``N``.

    A row without any change has the correlation 0: it does not rise.
    """
    order = torch.arange(rows.shape[-1], dtype=torch.float64)
    x, y = order - order.mean(), ranks(rows).double()
    y = y - y.mean(-1, keepdim=True)
    norm = x.square().sum().sqrt() * y.square().sum(-1).sqrt()
    return (y @ x) / norm.clamp_min(1e-12)


@dataclass(frozen=True)
class Ridge:
    """Linear regression ``features @ weight + bias`` with a penalty on the weights."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def fit(cls, features: Tensor, targets: Tensor, penalty: float = 1e-3) -> "Ridge":
        """Least squares of ``N×D`` features on ``N`` targets; ``penalty`` per mean variance."""
        x, y = features.double(), targets.double()
        mean, target = x.mean(0), y.mean()
        x, y = x - mean, y - target
        gram = x.T @ x
        gram.diagonal().add_(penalty * gram.diagonal().mean())
        weight = torch.linalg.solve(gram, x.T @ y)
        return cls(weight, target - mean @ weight)

    def __call__(self, features: Tensor) -> Tensor:
        """Predict, shape ``N``."""
        return features.double() @ self.weight + self.bias


def logistic_direction(z: Tensor, positive: Tensor, penalty: float = 1e-2) -> Tensor:
    """Weights of a logistic regression of ``positive`` (bool ``N``) on ``z`` ``N×D``.

    Classes weigh the same however many samples they have; Newton's method, so exact.
    """
    x = torch.cat([z.double(), torch.ones(len(z), 1, dtype=torch.float64)], 1)
    y = positive.double()
    weigh = torch.where(positive, 0.5 / y.sum(), 0.5 / (1 - y).sum())
    ridge = torch.full((x.shape[1],), penalty, dtype=torch.float64)
    ridge[-1] = 0
    w = torch.zeros(x.shape[1], dtype=torch.float64)
    for _ in range(25):
        p = torch.sigmoid(x @ w)
        gradient = x.T @ (weigh * (p - y)) + ridge * w
        curvature = (x.T * (weigh * p * (1 - p))) @ x + torch.diag(ridge + 1e-9)
        w = w - torch.linalg.solve(curvature, gradient)
    return w[:-1].to(z.dtype)
