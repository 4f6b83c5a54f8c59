import pytest
import torch

from ganforge.metrics.cnn import CNNFeatures
from ganforge.metrics.train_cnn import Labelled, Recipe, accuracy, augment, fit, save

HEADS = {"side": ["left", "right"], "tone": ["dark", "bright"]}
RECIPE = Recipe(size=12, widths=(8, 16), epochs=4, batch_size=32, learning_rate=0.1, shift=1)


def striped(count, seed):
    """Grey noise, half of each image brighter (which half: ``side``), on a base tone."""
    rng = torch.Generator().manual_seed(seed)
    side, tone = torch.randint(0, 2, (2, count), generator=rng)
    images = (
        torch.randint(0, 40, (count, 1, 12, 12), generator=rng) + 90 * tone[:, None, None, None]
    )
    half = torch.arange(12) // 6
    images += 60 * (half[None, :] == side[:, None]).long()[:, None, None, :]
    return Labelled(images.byte(), {"side": side, "tone": tone})


@pytest.fixture(scope="module")
def trained():
    losses = []
    network = fit(striped(640, 0), HEADS, RECIPE, lambda epoch, loss: losses.append(loss))
    return network, losses


def test_a_classifier_learns_every_head_and_survives_its_file(trained, tmp_path):
    network, losses = trained
    assert losses[-1] < losses[0] / 2
    architecture = {"size": 12, "channels": 1, "widths": [8, 16], "stride": 1}
    metadata = {"data": "toy", "heads": HEADS, "logits_head": "side", "architecture": architecture}
    save(network, tmp_path / "toy.safetensors", metadata)
    classify = CNNFeatures(tmp_path / "toy.safetensors").attributes
    found = accuracy(classify, striped(300, 1), batch_size=70)
    assert min(found.values()) > 0.97


def test_training_repeats_itself_and_moves_no_global_random_state(trained):
    before = torch.get_rng_state()
    again = fit(striped(640, 0), HEADS, RECIPE, lambda epoch, loss: None)
    assert torch.equal(before, torch.get_rng_state())
    torch.testing.assert_close(dict(again.state_dict()), dict(trained[0].state_dict()))


def test_accuracy_counts_the_right_answers():
    data = Labelled(torch.zeros(4, 1, 2, 2).byte(), {"a": torch.tensor([0, 1, 1, 1])})
    always_one = lambda images: {"a": torch.tensor([[0.0, 1.0]]).repeat(len(images), 1)}  # noqa: E731
    assert accuracy(always_one, data, batch_size=3) == {"a": 0.75}


def test_augmentation_flips_and_shifts_whole_images():
    ramp = torch.arange(12, dtype=torch.uint8).mul(20).expand(200, 1, 12, 12)
    rng = torch.Generator().manual_seed(0)
    recipe = Recipe(size=12, flip=True, shift=2)
    out = augment(ramp, recipe, rng)
    assert out.shape == ramp.shape
    assert out.min() == -1
    rising = out[:, 0, 0, -1] > out[:, 0, 0, 0]
    assert 60 < int(rising.sum()) < 140
    starts = out[rising][:, 0, 0, 0].mul(127.5).add(127.5).round().unique()
    assert starts.tolist() == [0, 20, 40]
    plain = augment(ramp, Recipe(size=12, shift=0), rng)
    torch.testing.assert_close(plain, ramp.float() / 127.5 - 1)


def test_half_of_each_batch_is_coarsened_and_keeps_its_size():
    noise = torch.randint(0, 256, (8, 1, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    rng = torch.Generator().manual_seed(1)
    recipe = Recipe(size=32, shift=0, min_size=8)
    plain = noise.float() / 127.5 - 1
    spreads = []
    for _ in range(20):
        out = augment(noise, recipe, rng)
        assert out.shape == noise.shape
        torch.testing.assert_close(out[1::2], plain[1::2])
        spreads.append(float(out[::2].std()))
    assert min(spreads) < 0.15 < max(spreads) < plain.std()
