import pytest
import torch

from ganforge.augment.instance_noise import InstanceNoise


def test_the_deviation_falls_linearly_and_stays_at_zero():
    noise = InstanceNoise(std=0.5, kimg=0.4)
    found = [noise.sigma]
    found += [noise.observe(torch.zeros(100, 1))["noise_std"].item() for _ in range(6)]
    assert found == pytest.approx([0.5, 0.375, 0.25, 0.125, 0, 0, 0])


def test_it_adds_normal_noise_of_its_deviation():
    torch.manual_seed(0)
    added = InstanceNoise(std=0.5)(torch.ones(50_000)) - 1
    # Four deviations of the mean and of the deviation.
    assert added.mean().item() == pytest.approx(0, abs=4 * 0.5 / 50_000**0.5)
    assert added.std().item() == pytest.approx(0.5, abs=4 * 0.5 / 100_000**0.5)


def test_in_the_end_images_pass_unchanged():
    noise = InstanceNoise(std=0.5, kimg=0.1)
    noise.observe(torch.zeros(100))
    x = torch.randn(4, 3)
    assert noise(x) is x


def test_how_far_it_has_come_is_in_the_state():
    first, second = InstanceNoise(kimg=1), InstanceNoise(kimg=1)
    first.observe(torch.zeros(300))
    second.load_state_dict(first.state_dict())
    assert second.sigma == first.sigma == pytest.approx(0.07)


@pytest.mark.parametrize(("std", "kimg"), [(-1, 1), (1, 0)])
def test_impossible_settings_are_refused(std, kimg):
    with pytest.raises(ValueError, match=f"noise.std={std}"):
        InstanceNoise(std, kimg)
