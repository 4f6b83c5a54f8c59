"""The command line of the benchmarks, and what their cases derive; never how long things take."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.__main__ import CASES, DEFAULT, main, parse_arguments
from benchmarks.bare import BareLoop
from benchmarks.cyclegan import step_flops
from benchmarks.machine import peak_copy, peak_flops
from benchmarks.noise import NoiseImages, noise_images, noise_overrides
from benchmarks.reference import HingeTutorial, build_tutorial
from benchmarks.settings import Settings, compose_training
from torch import nn

from benchmarks import adversarial, choices, features, growth, loading, startup
from ganforge.config.build import build
from ganforge.metrics.cnn import CNNFeatures
from ganforge.training.devices import pick_precision


def test_cases_are_chosen_by_name():
    assert parse_arguments([]).cases == list(DEFAULT)
    options = parse_arguments(["case=dcgan32,growth", "--rounds", "2", "model.clip_gradient=1"])
    assert options.cases == ["dcgan32", "growth"]
    assert options.overrides == ["model.clip_gradient=1"]
    assert set(DEFAULT) < set(CASES)
    assert parse_arguments(["--quick"]).rounds == 1


@pytest.mark.parametrize("words", [["case=dcgan96"], ["--rounds", "0"]])
def test_what_cannot_be_measured_is_refused(words, capsys):
    with pytest.raises(SystemExit) as stop:
        parse_arguments(words)
    assert stop.value.code == 2
    assert "dcgan64" in capsys.readouterr().err or "--rounds" in words


def test_noise_takes_the_place_of_faces(tmp_path):
    settings = Settings(str(tmp_path), size=32, overrides=noise_overrides(str(tmp_path), 40))
    data = build(compose_training(settings).data)
    data.setup()
    assert isinstance(data.source, NoiseImages)
    assert torch.equal(data.split("train").images, noise_images(40, 3, 32))


def test_sngan_has_its_own_reference(tmp_path):
    model, size, choices = adversarial.CASES["sngan32"]
    small = ("model.generator.width=4", "model.discriminator.width=4", "trainer.accelerator=cpu")
    settings = Settings(
        str(tmp_path), size, batch_size=4, overrides=(*choices, *small), model=model
    )
    tutorial, _ = build_tutorial(settings)
    assert isinstance(tutorial, HingeTutorial)
    scores = torch.tensor([0.5, -2.0])
    assert tutorial.error(scores, 1.0).item() == pytest.approx((0.5 + 3.0) / 2)
    assert tutorial.error(scores, 0.0).item() == pytest.approx((1.5 + 0.0) / 2)
    assert tutorial.error_of_generator(scores).item() == pytest.approx(0.75)
    convolutions = [m for m in tutorial.discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert all(hasattr(m, "parametrizations") for m in convolutions)
    BareLoop(settings).step()


@pytest.mark.parametrize("choice", choices.CHOICES)
def test_every_choice_can_be_undone(choice, tmp_path):
    config = compose_training(Settings(str(tmp_path), overrides=choices.CHOICES[choice]))
    adam = build(config.model.optimizer_generator)([nn.Parameter(torch.zeros(1))])
    changed = (
        config.trainer.precision, config.model.channels_last, adam.defaults["fused"],
        adam.defaults["foreach"], list(config.callbacks.ema.get("networks", ["generator"])),
        "compile" in config.callbacks,
    )  # fmt: skip
    usual = ("auto", True, True, None, ["generator"], False)
    assert (changed == usual) == (choice == "as configured")


def test_the_bare_loop_of_features_gives_the_features(tmp_path):
    extractor = CNNFeatures("avatars")
    images = noise_images(5, 3, 32)
    found = features.bare_loop(extractor, images, torch.device("cpu"))
    torch.testing.assert_close(found, extractor(images).features, rtol=1e-4, atol=1e-4)


def test_the_plain_cyclegan_computes_more_for_the_same_step(tmp_path):
    flops = step_flops(Settings(str(tmp_path), size=32, quick=True))
    assert flops["reference"] >= flops["ganforge"] > 0


def test_peaks_are_rates_of_this_machine(monkeypatch):
    assert peak_flops(torch.device("cpu"), torch.float32, seconds=0.0) > 1e6
    monkeypatch.setattr("benchmarks.machine.torch.ones", lambda n, device: torch.zeros(1000))
    assert peak_copy(torch.device("cpu"), repeats=0) > 0


def test_drawing_batches_stops_where_the_set_ends():
    assert loading.seconds_of(range(5), 4) >= 0
    with pytest.raises(ValueError, match="2 batches instead of 4"):
        loading.seconds_of(range(3), 4)


def test_an_exponent_is_that_of_the_power():
    x = [8, 16, 64]
    assert growth.exponent(x, [3 * v**1.5 for v in x]) == pytest.approx(1.5)
    point = {**growth.CENTRE, "batch": 8}
    settings = growth.settings_at(point, "folder", 3)
    assert (settings.batch_size, settings.size) == (8, 32)
    assert "model.generator.width=32" in settings.overrides


def test_the_figure_of_growth_is_drawn(tmp_path):
    at = {"at": [1, 2], "exponents": dict.fromkeys(growth.READINGS, 1.0)}
    growth.draw({"batch": at | {reading: [1.0, 2.0] for reading in growth.READINGS},
                 "width": at | {reading: [2.0, 4.0] for reading in growth.READINGS}},
                tmp_path / "growth.png")  # fmt: skip
    from PIL import Image

    assert np.asarray(Image.open(tmp_path / "growth.png")).std() > 5


def test_a_case_writes_what_it_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(startup, "COMMANDS", {"nothing": ["-c", "pass"]})
    monkeypatch.setattr(startup, "run_worker", lambda task, settings: {
        "device": "d", "threads": 1, "precision": "32-true", "peak": {"copied_bytes": 1e9},
        "python": "3", "libraries": {},
    })  # fmt: skip
    main(["case=startup", "--quick", "--output", str(tmp_path)])
    assert "nothing" in capsys.readouterr().out
    (path,) = Path(tmp_path).glob("startup-*.json")
    record = json.loads(path.read_text())
    assert record["case"] == "startup"
    assert len(record["seconds"]["nothing"]) == 2


def test_the_precision_of_a_cpu_run_is_the_cpus(tmp_path, monkeypatch):
    """A machine with a GPU must not decide for ``trainer.accelerator=cpu``."""
    settings = Settings(str(tmp_path), overrides=("trainer.accelerator=cpu",))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
    trainer = compose_training(settings).trainer
    assert pick_precision(trainer.precision, trainer.accelerator) == "32-true"
