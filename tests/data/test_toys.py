import numpy as np
import pytest
import torch

from ganforge.data.module import ImageDataModule
from ganforge.data.toys import Gaussian1D, Grid2D, Ring2D
from ganforge.utils.errors import UserError


def test_the_gaussian_has_the_moments_it_was_given(tmp_path):
    data = ImageDataModule("gaussian1d", Gaussian1D(mean=3.0, std=0.5), (1,), tmp_path)
    rows = data.split("train").images
    assert rows.shape == (100_000, 1)
    assert rows.dtype == torch.float32
    assert rows.mean().item() == pytest.approx(3.0, abs=0.01)
    assert rows.std().item() == pytest.approx(0.5, rel=0.01)
    assert data.class_names is None
    batch = next(iter(data.train_dataloader()))
    assert torch.equal(data.on_after_batch_transfer(dict(batch), 0)["image"], batch["image"])


def test_the_density_is_the_normal_density():
    density = Gaussian1D(mean=1.0, std=2.0).density(np.array([1.0, 3.0]))
    assert density == pytest.approx([0.19947114, 0.12098536])


def test_the_ring_lies_around_its_modes(tmp_path):
    source = Ring2D(modes=8, radius=2.0, std=0.05)
    data = ImageDataModule("ring2d", source, (2,), tmp_path)
    train = data.split("train")
    centers = torch.from_numpy(source.centers()).float()
    assert centers.norm(dim=1).tolist() == pytest.approx([2.0] * 8)
    offsets = train.images - centers[train.labels]
    assert offsets.std().item() == pytest.approx(0.05, rel=0.01)
    nearest = torch.cdist(train.images[:1000], centers).argmin(1)
    assert torch.equal(nearest, train.labels[:1000])
    shares = torch.bincount(train.labels) / len(train)
    assert shares.tolist() == pytest.approx([1 / 8] * 8, abs=0.005)
    assert data.class_names == list("01234567")


def test_the_grid_lies_around_its_modes(tmp_path):
    source = Grid2D(side=5, spacing=2.0, std=0.05)
    data = ImageDataModule("grid2d", source, (2,), tmp_path)
    centers = torch.from_numpy(source.centers()).float()
    assert len(centers.unique(dim=0)) == 25
    assert sorted(centers.flatten().unique().tolist()) == [-4, -2, 0, 2, 4]
    assert source.radius == 4
    train = data.split("train")
    assert (train.images - centers[train.labels]).std().item() == pytest.approx(0.05, rel=0.01)
    shares = torch.bincount(train.labels) / len(train)
    assert shares.tolist() == pytest.approx([1 / 25] * 25, abs=0.005)


def test_rows_follow_the_seed_and_splits_differ():
    def rows(split, seed):
        (chunk,) = Gaussian1D(seed=seed, train_count=50, test_count=50).chunks(split, None, None)
        return chunk.images

    assert np.array_equal(rows("train", 1), rows("train", 1))
    assert not np.array_equal(rows("train", 1), rows("train", 2))
    assert not np.intersect1d(rows("train", 1), rows("test", 1)).size


@pytest.mark.parametrize(
    "make",
    [
        lambda: Gaussian1D(std=0),
        lambda: Gaussian1D(train_count=0),
        lambda: Ring2D(modes=0),
        lambda: Ring2D(radius=-1),
        lambda: Ring2D(std=-1),
        lambda: Grid2D(side=0),
        lambda: Grid2D(spacing=0),
        lambda: Gaussian1D().check(64, 3),
    ],
)
def test_impossible_toys_are_refused(make):
    with pytest.raises(UserError, match=r"toy|ring2d|grid2d"):
        make()
