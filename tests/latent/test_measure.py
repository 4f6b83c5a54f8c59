import numpy as np
import pytest
import torch
from scipy import stats

from ganforge.latent.measure import Ridge, logistic_direction, ranks, spearman


def test_ranks_share_ties():
    assert ranks(torch.tensor([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_spearman_equals_scipy_with_ties():
    rows = torch.randint(4, (20, 9), generator=torch.Generator().manual_seed(1)).double()
    expected = [stats.spearmanr(range(9), row).statistic for row in rows.numpy()]
    np.testing.assert_allclose(spearman(rows).numpy(), expected, rtol=1e-12)


def test_spearman_of_a_constant_is_zero_not_nan():
    assert spearman(torch.ones(1, 9)).tolist() == [0.0]


def test_ridge_finds_the_line_through_exact_data():
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    y = x @ torch.tensor([1.0, -2.0, 0.5]) + 4
    ridge = Ridge.fit(x, y, penalty=0)
    torch.testing.assert_close(ridge(x), y.double(), rtol=1e-5, atol=1e-5)
    assert ridge.bias.item() == pytest.approx(4, abs=1e-5)


def test_ridge_with_an_endless_penalty_is_the_mean():
    x, y = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), torch.arange(50.0)
    assert Ridge.fit(x, y, penalty=1e12)(x) == pytest.approx(np.full(50, 24.5), abs=1e-6)


def test_logistic_direction_minimises_its_loss():
    rng = torch.Generator().manual_seed(0)
    z = torch.randn(400, 4, generator=rng)
    positive = z[:, 0] - 0.5 * z[:, 2] + 0.3 * torch.randn(400, generator=rng) > 0.8
    w = logistic_direction(z, positive, penalty=1e-2)
    # The gradient of the balanced, penalised loss is 0 there; the bias is found by bisection.
    weigh = torch.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum()).double()
    low, high = -20.0, 20.0
    for _ in range(80):
        middle = (low + high) / 2
        p = torch.sigmoid(z.double() @ w.double() + middle)
        low, high = (low, middle) if (weigh * (p - positive.double())).sum() > 0 else (middle, high)
    gradient = z.double().T @ (weigh * (p - positive.double())) + 1e-2 * w.double()
    assert gradient.abs().max() < 1e-6
    assert torch.nn.functional.cosine_similarity(w, torch.tensor([1, 0, -0.5, 0]), dim=0) > 0.98
