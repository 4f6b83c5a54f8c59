import pytest
import torch
from torch.testing import assert_close

from ganforge.metrics.lips import LipReader, correlation, lag, lip_reader, nearest, read, sync

CENTRES = torch.tensor([[0.0, 0.2, 0.0], [0.95, 0.1, 0.5], [0.22, -0.9, 0.1]])


def track(n=60, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, generator=rng).cumsum(0).sin().abs()


@pytest.mark.parametrize("frames", [-3, 0, 2, 5])
def test_lag_counts_frames(frames):
    first = track()[:, 0]
    assert lag(first, first.roll(frames)) == frames


def test_correlation_is_pearsons():
    one, other = torch.rand(2, 50)
    assert correlation(one, 2 * one + 1) == pytest.approx(1)
    expected = torch.corrcoef(torch.stack([one, other]))[0, 1].item()
    assert correlation(one, other) == pytest.approx(expected, abs=1e-5)
    assert correlation(one, torch.ones(50)) == 0


def test_classes_are_the_nearest_centre():
    assert nearest(CENTRES + 0.01, CENTRES).tolist() == [0, 1, 2]
    # A quarter of opening tells more than 0.7 of width.
    assert nearest(torch.tensor([[0.7, -0.6, 0.3]]), CENTRES).tolist() == [1]


def test_sync_of_the_truth_is_perfect_and_of_late_lips_is_late():
    truth = torch.cat([track(seed=1), track(seed=2)])
    truth[5:9, 0] = 0
    video = torch.tensor([0] * 60 + [1] * 60)
    bilabial = torch.zeros(120, dtype=torch.bool)
    bilabial[5:9] = True
    same = sync(truth, truth, video, bilabial, CENTRES)
    assert (same.classes, same.shut, same.lags) == (1, 1, [0, 0])
    assert same.opening == pytest.approx(1)
    late = sync(truth.roll(3, 0), truth, video, bilabial, CENTRES)
    assert late.lags == [3, 3]
    assert late.opening < same.opening


def test_a_reader_learns_openings_and_is_kept(tmp_path):
    """Windows whose brightness is the opening."""
    rng = torch.Generator().manual_seed(0)
    mouths = torch.rand(256, 3, generator=rng)
    windows = (mouths[:, :1, None, None] * 255).expand(-1, 3, 32, 32).byte()
    path = tmp_path / "lips.safetensors"
    reader = lip_reader(windows, mouths, path)
    assert correlation(read(reader, windows)[:, 0], mouths[:, 0]) > 0.9
    again = lip_reader(windows[:1], mouths[:1], path)  # nothing to learn from: it was kept
    assert_close(read(again, windows), read(reader, windows))
    assert isinstance(again, LipReader)
