import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.metrics.cnn import SHIPPED, CNNFeatures, SmallResNet, shipped_names
from ganforge.metrics.features import with_channels
from ganforge.metrics.train_cnn import save
from ganforge.utils.errors import DamagedFileError, UserError

FASHION = Path("/usr/share/datasets/fashion-mnist")
CIFAR = Path(__file__).parents[3] / "shared/data/cifar10_jpeg_test.zip"
HEADS = {"hat": ["no", "yes"], "colour": ["red", "green", "blue"]}


def write_classifier(path, channels=3, **changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SmallResNet(channels, [4, 8], 1, HEADS)
    architecture = {"size": 16, "channels": channels, "widths": [4, 8], "stride": 1}
    metadata = {"data": "toy", "heads": HEADS, "logits_head": "colour"}
    save(network, path, {**metadata, "architecture": architecture, **changes})
    return path


@pytest.fixture
def classifier(tmp_path):
    return CNNFeatures(write_classifier(tmp_path / "toy.safetensors"))


def random_images(*shape):
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)


def test_features_logits_and_attributes_belong_together(classifier):
    images = random_images(5, 3, 20, 20)
    out = classifier(images)
    attributes = classifier.attributes(images)
    assert out.features.shape == (5, classifier.dim)
    assert {name: logits.shape for name, logits in attributes.items()} == {
        "hat": (5, 2),
        "colour": (5, 3),
    }
    torch.testing.assert_close(out.logits, attributes["colour"])
    assert classifier.name == "cnn-toy"


@pytest.mark.parametrize("side", [8, 16, 33])
def test_any_input_side_is_taken(classifier, side):
    prepared = classifier.prepare(random_images(2, 3, side, side))
    assert prepared.shape == (2, 3, 16, 16)
    assert -1 <= prepared.min() < -0.5 < 0.5 < prepared.max() <= 1


def test_grey_images_are_read_as_equal_channels(classifier):
    grey = random_images(3, 1, 16, 16)
    torch.testing.assert_close(
        classifier(grey).features, classifier(grey.repeat(1, 3, 1, 1)).features
    )


def test_colour_becomes_the_grey_that_pillow_makes(tmp_path):
    colour = random_images(1, 3, 16, 16)
    pillow = np.asarray(Image.fromarray(colour[0].permute(1, 2, 0).numpy()).convert("L"))
    grey = with_channels(colour, 1)[0, 0].numpy()
    assert np.abs(grey.astype(int) - pillow.astype(int)).max() <= 1
    reader = CNNFeatures(write_classifier(tmp_path / "grey.safetensors", channels=1))
    torch.testing.assert_close(reader(colour).features, reader(with_channels(colour, 1)).features)


def test_float_images_are_refused(classifier):
    with pytest.raises(UserError, match="uint8"):
        classifier.attributes(torch.rand(2, 3, 16, 16))


def test_loading_and_reading_move_no_global_random_state(tmp_path):
    path = write_classifier(tmp_path / "toy.safetensors")
    before = torch.get_rng_state()
    CNNFeatures(path)(random_images(2, 3, 16, 16))
    assert torch.equal(before, torch.get_rng_state())


def test_a_classifier_trained_by_the_user_is_found_by_name(tmp_path):
    write_classifier(tmp_path / "weights" / "cnn-mine.safetensors")
    assert CNNFeatures("mine", tmp_path).heads == HEADS


def test_an_unknown_data_set_is_told_with_what_there_is():
    with pytest.raises(UserError) as told:
        CNNFeatures("celeba", "/nowhere")
    for part in ("'celeba'", *shipped_names(), "train_features data=celeba", "features=inception"):
        assert part in str(told.value)


def test_missing_and_damaged_files_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="no classifier file"):
        CNNFeatures(tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not tensors")
    with pytest.raises(DamagedFileError, match=r"broken\.safetensors cannot be read"):
        CNNFeatures(broken)
    whole = write_classifier(tmp_path / "whole.safetensors").read_bytes()
    broken.write_bytes(whole[:-10])
    with pytest.raises(DamagedFileError, match="cannot be read"):
        CNNFeatures(broken)
    other = {"size": 16, "channels": 3, "widths": [4, 16], "stride": 1}
    with pytest.raises(DamagedFileError, match="do not fit the architecture"):
        CNNFeatures(write_classifier(broken, architecture=other))
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, broken, metadata={"data": json.dumps("toy")})
    with pytest.raises(DamagedFileError, match="does not say its architecture, heads"):
        CNNFeatures(broken)


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_classifiers_are_small_and_say_what_they_are(name):
    assert (SHIPPED / f"{name}.safetensors").stat().st_size < 3_000_000
    told = CNNFeatures(name).metadata
    assert told["data"] == name
    assert f"data={name}" in told["command"]
    assert told["test_accuracy"][str(told["architecture"]["size"])]["mean"] > 0.8


def test_fashion_mnist_is_read_with_92_percent():
    if not FASHION.is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not installed")
    images = gzip.decompress((FASHION / "t10k-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((FASHION / "t10k-labels-idx1-ubyte.gz").read_bytes())
    x = torch.tensor(np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28)[:2000])
    y = torch.tensor(np.frombuffer(labels, np.uint8, offset=8)[:2000])
    found = CNNFeatures("fashion_mnist").attributes(x)["class"].argmax(1)
    assert (found == y).float().mean() > 0.92


def test_cifar10_is_read_as_well_as_the_file_says():
    if not CIFAR.is_file():
        pytest.skip("shared/data/cifar10_jpeg_test.zip is not here")
    reader = CNNFeatures("cifar10")
    with zipfile.ZipFile(CIFAR) as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".jpg"))[::10]
        images = [Image.open(io.BytesIO(archive.read(n))).convert("RGB") for n in names]
    x = torch.stack([torch.from_numpy(np.array(i)).permute(2, 0, 1) for i in images])
    logits = reader(x).logits
    values = reader.heads["class"]
    right = [values[k] == n.split("/")[-2] for k, n in zip(logits.argmax(1), names, strict=True)]
    assert np.mean(right) == pytest.approx(
        reader.metadata["test_accuracy"]["32"]["class"], abs=0.04
    )


@pytest.mark.parametrize("side", [32, 64])
def test_new_avatars_are_read_with_95_percent_at_both_sides(side):
    from ganforge.data.avatars import render

    reader = CNNFeatures("avatars")
    rng = np.random.default_rng(0)
    drawn = [{k: rng.choice(v) for k, v in reader.heads.items()} for _ in range(150)]
    faces = np.stack([render(f"new-{i}", side, **row) for i, row in enumerate(drawn)])
    found = reader.attributes(torch.from_numpy(faces))
    right = [
        reader.heads[name][k] == row[name]
        for name, logits in found.items()
        for k, row in zip(logits.argmax(1).tolist(), drawn, strict=True)
    ]
    assert len(right) == 150 * 7
    assert np.mean(right) > 0.95
