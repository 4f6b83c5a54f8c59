import pytest
import torch
from PIL import Image

from ganforge.commands.train_eyes import held_out, read_eyes, train_eyes
from ganforge.metrics.eye_state import SIDE, EyeState, EyeStateNet, crop_eyes
from ganforge.utils.errors import DamagedFileError, UserError

ANCHORS = [[0.25, 0.25], [0.75, 0.25]]


def test_an_eye_is_cut_out_around_its_anchor():
    """A ramp over the window: the patch's levels are those of its places."""
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(120.0), indexing="ij")
    for number, centre in ((0, 30), (1, 90)):
        for ramp, middle in ((x, centre), (y, 30)):
            patch = crop_eyes(ramp[None, None], ANCHORS, number)
            assert patch.shape == (1, 1, SIDE, SIDE)
            assert patch.mean().item() == pytest.approx(middle - 0.5, abs=0.05)
    half = 0.53 * 60 / 2  # in pixels: the eyes are 60 apart
    row = crop_eyes(x[None, None], ANCHORS, 0)[0, 0, 0]
    assert (row[-1] - row[0]).item() == pytest.approx(2 * half * (SIDE - 1) / SIDE, abs=0.05)


def test_light_and_contrast_tell_nothing():
    torch.manual_seed(0)
    network, eyes = EyeStateNet().eval(), torch.rand(3, 1, SIDE, SIDE) * 100
    torch.testing.assert_close(network(eyes), network(2 * eyes + 30), rtol=1e-4, atol=1e-4)


@pytest.fixture
def drawn(tmp_path):
    """Open eyes are a dark disc on white, closed ones a line; two of each face."""
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    shapes = {"open": (x - 12).hypot(y - 12) > 5, "closed": (y - 12).abs() > 1}
    rng = torch.Generator().manual_seed(0)
    for state, shape in shapes.items():
        folder = tmp_path / "eyes" / "train" / state
        folder.mkdir(parents=True)
        for face in range(40):
            for side in "LR":
                noise = 40 * torch.rand(24, 24, generator=rng)
                level = (shape * 180 + noise).byte().numpy()
                Image.fromarray(level).save(folder / f"{state}_{face}_{side}.png")
    return tmp_path / "eyes"


def test_a_classifier_is_trained_written_and_read(drawn, tmp_path, capsys):
    weights = tmp_path / "weights" / "eye_state.safetensors"
    judge = EyeState(weights)
    assert not judge.is_there
    with pytest.raises(UserError, match="train_eyes"):
        judge.key()
    assert train_eyes(drawn, weights) >= 0.9
    assert "of 32 eyes of faces not trained on" in capsys.readouterr().out
    assert judge.is_there
    assert len(judge.key()["eye_state"]) == 64
    eyes, opened, _ = read_eyes(drawn)
    pairs = torch.stack([torch.cat([e, e], -1) for e in eyes[::16]])
    windows = torch.nn.functional.interpolate(pairs.float(), (48, 96), mode="bilinear").byte()
    chance = judge.chance(windows, [[0.25, 0.25], [0.75, 0.25]])
    assert ((chance > 0.5) == (opened[::16] > 0.5)).float().mean() >= 0.8


def test_both_eyes_of_a_face_are_tested_on_or_neither():
    faces = [f"f{i // 2}" for i in range(40)]
    test = held_out(faces)
    assert test.sum() == 8
    assert torch.equal(test[::2], test[1::2])


def test_what_is_no_classifier_or_no_data_is_named(tmp_path):
    path = tmp_path / "eye_state.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(DamagedFileError, match="no classifier of eyes"):
        EyeState(path).chance(torch.zeros(1, 3, 32, 64).byte(), ANCHORS)
    Image.new("L", (24, 24)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="folders open and closed"):
        read_eyes(tmp_path)
