"""The squared MMD of two samples as a closed U-statistic, and its variance.

All pairs of images are compared once, none with itself: the mean over random subsets (Bińkowski et
al. 2018) tends to this value, with the noise of the subsets on top. The variance is that of a
U-statistic (Hoeffding 1948; Sutherland et al. 2017 for two samples): the variance of what each
image contributes, and that of what is left of the kernel, which alone remains between equal
distributions.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

ROWS = 1024  # of the kernel that are held at once


class Estimate(NamedTuple):
    """A squared MMD and the variance of that estimate."""

    value: float
    variance: float


class Sums(NamedTuple):
    """Mean of each row of a kernel matrix, of each column, and of its squares."""

    rows: np.ndarray
    columns: np.ndarray
    square: float

    @property
    def mean(self) -> float:
        """Of the whole matrix."""
        return float(self.rows.mean())

    @property
    def rest(self) -> float:
        """Variance of the entries that no sum of a row's and a column's part explains."""
        explained = np.mean(self.rows**2) + np.mean(self.columns**2) - self.mean**2
        return max(self.square - float(explained), 0.0)


def kernel(a: Tensor, b: Tensor) -> Tensor:
    """The cubic polynomial kernel of KID."""
    return (a @ b.T).div_(a.shape[1]).add_(1).pow_(3)


def between(one: Tensor, other: Tensor) -> Sums:
    """Of the kernel of two sets."""
    rows, columns, square = [], torch.zeros(len(other), dtype=torch.float64), 0.0
    for part in one.split(ROWS):
        block = kernel(part, other).double()
        rows.append(block.mean(1))
        columns += block.sum(0)
        square += block.square().sum().item()
    count = len(one)
    return Sums(torch.cat(rows).numpy(), (columns / count).numpy(), square / count / len(other))


def within(points: Tensor) -> Sums:
    """Of the kernel of a set and itself, without the diagonal."""
    return _without_diagonal(kernel(part, points) for part in points.split(ROWS))


def squared_mmd(one: Tensor, other: Tensor, of_other: Sums | None = None) -> Estimate:
    """Of two independent samples; ``of_other`` is ``within(other)``, where it is known."""
    n, m = len(one), len(other)
    a, b, cross = within(one), of_other or within(other), between(one, other)
    value = a.mean + b.mean - 2 * cross.mean
    # What an image adds: its nearness to its own side less that to the other one. The noise of
    # these means, from the other images, is in their variance; it has terms of its own.
    ours = np.var(a.rows - cross.rows, ddof=1) - a.rest / n
    theirs = np.var(b.rows - cross.columns, ddof=1) - b.rest / m
    first = 4 * max(ours, 0) / n + 4 * max(theirs, 0) / m
    second = 2 * a.rest / n**2 + 2 * b.rest / m**2 - 4 * cross.rest / (n * m)
    least = 2 * a.rest / n**2 + 2 * b.rest / m**2
    return Estimate(value, float(max(first + second, least)))


def squared_mmd_of_pairs(one: Tensor, other: Tensor) -> Estimate:
    """Of pairs that are independent of each other: row i of both sides belongs together."""
    n = len(one)
    parts = zip(one.split(ROWS), other.split(ROWS), strict=True)
    told = _without_diagonal(
        kernel(x, one) + kernel(y, other) - kernel(x, other) - kernel(y, one) for x, y in parts
    )
    ours = np.var(told.rows, ddof=1) - told.rest / n
    return Estimate(told.mean, float(4 * max(ours, 0) / n + 2 * told.rest / n**2))


def _without_diagonal(blocks: object) -> Sums:
    """Of a square matrix that comes in blocks of rows."""
    rows, square, start = [], 0.0, 0
    for part in blocks:
        block = part.double()
        block.diagonal(start).zero_()
        rows.append(block.sum(1))
        square += block.square().sum().item()
        start += len(block)
    means = (torch.cat(rows) / (start - 1)).numpy()
    return Sums(means, means, square / start / (start - 1))
