"""The same images through ganforge and through the libraries that papers use."""

import numpy as np
import pytest
import torch
from benchmarks.conformance import measure, random_inception

from ganforge.metrics.inception import CleanResize, InceptionFeatures


def smooth_images(count, side, seed=0):
    """Images with edges and gradients, as photographs have."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 5, 5, generator=rng)
    fine = torch.nn.functional.interpolate(coarse, side, mode="bicubic").clamp(0, 1)
    return (fine * 255).round().byte()


@pytest.mark.parametrize("side", [32, 96, 400])
def test_the_clean_resize_is_clean_fid_s(side):
    resize = pytest.importorskip("cleanfid.resize", reason="clean-fid is a development tool")
    theirs = resize.make_resizer("PIL", False, "bicubic", (299, 299))
    images = smooth_images(2, side)
    ours = CleanResize()(images, 299).float().numpy()
    for image, told in zip(images, ours, strict=True):
        expected = theirs(image.permute(1, 2, 0).numpy()).transpose(2, 0, 1)
        assert np.abs(told - expected.clip(0, 255)).max() <= 0.51


def test_the_resizes_differ_and_say_so(tmp_path):
    weights = random_inception(tmp_path / "random.pth")
    plain, clean = InceptionFeatures(weights), InceptionFeatures(weights, resizer=CleanResize())
    assert (plain.sha256, plain.resize == clean.resize) == (clean.sha256, False)
    images = smooth_images(2, 350)
    assert not torch.allclose(plain(images).features, clean(images).features, rtol=1e-3)
    at_size = smooth_images(1, 299)
    torch.testing.assert_close(plain(at_size).features, clean(at_size).features)


@pytest.mark.slow
def test_inception_scores_are_those_of_the_libraries(tmp_path):
    """FID relative 1e-4, Inception Score and KID relative 1e-5, from images to numbers."""
    told = measure(smooth_images(60, 32), smooth_images(60, 32, seed=1), tmp_path)
    ours, theirs = told["ganforge"], told["torch-fidelity"]
    assert ours["fid"] == pytest.approx(theirs["fid"], rel=1e-4)
    assert ours["kid"] == pytest.approx(theirs["kid"], rel=1e-5)
    assert ours["is"] == pytest.approx(theirs["is"], rel=1e-5)
    assert ours["precision"] == pytest.approx(theirs["precision"], abs=1e-6)
    assert ours["recall"] == pytest.approx(theirs["recall"], abs=1e-6)
