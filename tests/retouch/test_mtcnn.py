import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.networks.mtcnn import OutputNet, ProposalNet, RefinementNet
from ganforge.retouch import mtcnn
from ganforge.retouch.mtcnn import MTCNN, _crops, _shifted, _square
from ganforge.utils.errors import DamagedFileError, UserError

HOME = Path(os.environ.get("GANFORGE_DATA") or Path.home() / ".cache" / "ganforge") / "weights"
LFW = Path(__file__).parents[2].parent / "shared" / "data" / "lfw_faces96.zip"


def test_networks_have_the_papers_shapes():
    chance, boxes = ProposalNet()(torch.zeros(1, 3, 12, 12))
    assert chance.shape == (1, 1, 1)
    assert boxes.shape == (1, 4, 1, 1)
    assert ProposalNet()(torch.zeros(1, 3, 40, 60))[0].shape == (1, 15, 25)
    chance, boxes = RefinementNet()(torch.zeros(2, 3, 24, 24))
    assert (chance.shape, boxes.shape) == ((2,), (2, 4))
    chance, boxes, points = OutputNet()(torch.zeros(2, 3, 48, 48))
    assert (chance.shape, boxes.shape, points.shape) == ((2,), (2, 4), (2, 2, 5))


def test_boxes_are_squared_and_shifted_by_shares_of_themselves():
    boxes = torch.tensor([[10.0, 20.0, 30.0, 60.0]])
    assert_close(_square(boxes), torch.tensor([[0.0, 20.0, 40.0, 60.0]]))
    offsets = torch.tensor([[0.1, 0.0, -0.1, 0.5]])
    assert_close(_shifted(boxes, offsets), torch.tensor([[12.0, 20.0, 28.0, 80.0]]))


def test_crops_are_black_beyond_the_picture():
    pixels = torch.full((1, 3, 20, 20), 255.0)
    (crop,) = _crops(pixels, torch.tensor([[-10.0, 0.0, 10.0, 20.0]]), 20)
    assert_close(crop[:, :, :10], torch.full((3, 20, 10), -127.5 / 128))
    assert_close(crop[:, :, 10:], torch.full((3, 20, 10), 127.5 / 128))
    (outside,) = _crops(pixels, torch.tensor([[50.0, 50.0, 60.0, 60.0]]), 8)
    assert (outside < 0).all()


def test_missing_or_damaged_weights_are_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(mtcnn, "PACKAGE", "facenet_pytorch_that_is_not_there")
    picture = Image.new("RGB", (60, 60))
    with pytest.raises(UserError, match="pip download --no-deps"):
        MTCNN(tmp_path)("a", picture)
    (tmp_path / "facenet_pytorch_that_is_not_there-1.whl").write_bytes(b"no zip")
    with pytest.raises(DamagedFileError, match=r"pnet\.pt"):
        MTCNN(tmp_path)("a", picture)


@pytest.mark.skipif(not list(HOME.glob("facenet_pytorch-*.whl")), reason="no weights of MTCNN")
@pytest.mark.skipif(not LFW.is_file(), reason="no LFW")
def test_faces_are_found_wherever_they_are():
    """Two photos side by side, enlarged and on grey: four eyes, where they are in each photo."""
    from ganforge.data.decode import open_picture
    from ganforge.data.listing import list_images

    listing, finder = list_images(LFW), MTCNN(HOME)
    photos = [open_picture(listing.read(name)).convert("RGB") for name in listing.names[:2]]
    alone = [finder("a", photo)[0] for photo in photos]
    canvas = Image.new("RGB", (900, 500), (90, 90, 90))
    for photo, (x, y, scale) in zip(photos, ((50, 60, 4), (550, 200, 2)), strict=True):
        canvas.paste(photo.resize((96 * scale, 96 * scale), Image.Resampling.BICUBIC), (x, y))
    found = finder("b", canvas)
    assert len(found) == 2
    for face, (x, y, scale), single in zip(found, ((50, 60, 4), (550, 200, 2)), alone, strict=True):
        for eye, before in ((face.left, single.left), (face.right, single.right)):
            expected = x + scale * before[0], y + scale * before[1]
            assert np.hypot(*np.subtract(eye, expected)) < 0.1 * face.eye_distance


@pytest.mark.skipif(not list(HOME.glob("facenet_pytorch-*.whl")), reason="no weights of MTCNN")
def test_noise_has_no_face():
    noise = np.random.default_rng(0).integers(256, size=(80, 80, 3)).astype(np.uint8)
    assert MTCNN(HOME)("a", Image.fromarray(noise)) == []
