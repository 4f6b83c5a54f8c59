"""The Fréchet distance of two Gaussians, fast enough to be taken hundreds of times.

torch-fidelity asks for the eigenvalues of the product of two covariances, which is not symmetric.
The same sum of roots is that of a symmetric matrix, by any factor F of one covariance (FᵀF = Σ₁):
``tr (Σ₁Σ₂)^½ = tr (F Σ₂ Fᵀ)^½``. For the Cholesky factor LAPACK has that product (sygst), at a
quarter of the cost. With fewer images than features the smaller of the two Gram matrices is taken.
``tests/metrics/test_frechet.py`` holds all cases to torch-fidelity's value.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

ROWS = 1024  # rows that are held in double at once


@dataclass(frozen=True)
class Moments:
    """Mean and covariance (float64) of ``count`` features.

    ``rows`` holds the centred features over √(count - 1) where these are fewer than their
    dimension (``rowsᵀ rows`` is the covariance), else None.
    """

    count: int
    mean: np.ndarray
    covariance: np.ndarray | None
    rows: np.ndarray | None

    @property
    def trace(self) -> float:
        """Total variance."""
        if self.rows is not None:
            return float(np.square(self.rows).sum())
        return float(np.trace(self.covariance))

    @cached_property
    def cholesky(self) -> np.ndarray | None:
        """The lower factor of the covariance, None where that is singular."""
        if self.rows is not None:
            return None
        try:
            return np.linalg.cholesky(self.covariance)
        except np.linalg.LinAlgError:  # features that are constant, or depend on others
            return None

    @cached_property
    def factor(self) -> np.ndarray:
        """F of shape ``r×D`` with ``FᵀF`` the covariance."""
        if self.rows is not None:
            return self.rows
        if self.cholesky is not None:
            return self.cholesky.T
        values, vectors = np.linalg.eigh(self.covariance)
        return np.sqrt(values.clip(0))[:, None] * vectors.T

    def times(self, other: "Moments") -> np.ndarray:
        """Lower triangle of a symmetric matrix with the eigenvalues of ΣΣ' that are not 0."""
        if self.rows is None and other.cholesky is not None:
            from scipy.linalg.lapack import dsygst

            product, _ = dsygst(self.covariance, other.cholesky, itype=2, lower=1)
            return product
        if self.rows is None:
            return other.factor @ self.covariance @ other.factor.T
        product = other.factor @ self.rows.T
        small = product if product.shape[0] <= product.shape[1] else product.T
        return small @ small.T


def moments(features: Tensor, chosen: np.ndarray | None = None) -> Moments:
    """Moments of ``N×D`` features, or of the rows ``chosen`` (which may repeat)."""
    values = features.numpy()
    count, dim = len(values) if chosen is None else len(chosen), values.shape[1]
    parts = [slice(start, start + ROWS) for start in range(0, count, ROWS)]
    if chosen is not None:
        parts = [chosen[part] for part in parts]
    mean = sum(values[part].sum(0, dtype=np.float64) for part in parts) / count
    if count <= dim:
        rows = (values if chosen is None else values[chosen]).astype(np.float64)
        rows = (rows - mean) / np.sqrt(max(count - 1, 1))
        return Moments(count, mean, None, rows)
    covariance = np.zeros((dim, dim))
    for part in parts:
        rows = values[part].astype(np.float64)
        rows -= mean
        covariance += rows.T @ rows
    return Moments(count, mean, covariance / (count - 1), None)


def frechet_distance(one: Moments, other: Moments) -> float:
    """``|μ₁ - μ₂|² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁Σ₂)^½`` (Dowson & Landau 1982)."""
    eigenvalues = np.linalg.eigvalsh(other.times(one))
    roots = np.sqrt(eigenvalues.clip(0)).sum()
    difference = one.mean - other.mean
    return float(difference @ difference + one.trace + other.trace - 2 * roots)
