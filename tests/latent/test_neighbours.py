import numpy as np
import pytest
import torch
from scipy import stats

from ganforge.latent.neighbours import Neighbours
from ganforge.utils.neighbours import copying, nearest


def test_the_nearest_rows_come_first():
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]])
    found = nearest(torch.zeros(1, 2), rows, k=5)
    assert found.indices.tolist() == [[0, 2, 1]]
    assert found.distances.tolist() == [[0.0, 1.0, 5.0]]


def test_copying_has_its_closed_form():
    # Of the 6 pairs, a sample is nearer in 1<2, 1<3, and a tie 3=3 counts one half.
    score = copying(torch.tensor([1.0, 3.0, 4.0]), torch.tensor([2.0, 3.0]))
    assert score.share == pytest.approx(2.5 / 6)
    everything = copying(torch.zeros(4), torch.ones(6))
    assert everything.share == 1
    assert everything.z == pytest.approx(0.5 * (12 * 24 / 11) ** 0.5)
    assert copying(torch.ones(4), torch.zeros(6)).share == 0


@pytest.mark.parametrize("count", [40, 1500])
def test_copying_equals_scipys_mann_whitney(count):
    rng = torch.Generator().manual_seed(0)
    a = torch.randint(50, (count,), generator=rng).float()
    b = torch.randint(10, 60, (2 * count,), generator=rng).float()
    u = stats.mannwhitneyu(a.double().numpy(), b.double().numpy()).statistic
    assert copying(a, b).share == pytest.approx(1 - u / (2 * count**2), rel=1e-12)


def test_a_generator_that_copies_is_caught(space_with):
    honest = space_with()
    copies = space_with(generate=lambda z: honest.train.images[: len(z)])
    tool = Neighbours(n=200, shown=3, k=2)
    caught, free = tool(copies), tool(honest)
    assert caught.numbers["copying_share"] > 0.95
    assert caught.numbers["median_distance_of_samples"] == 0
    assert 0.3 < free.numbers["copying_share"] < 0.7
    sheet = caught.pictures["neighbours"]
    assert torch.equal(sheet.images[0], sheet.images[1])
    np.testing.assert_array_equal(sheet.images.shape, (9, 3, 8, 8))
