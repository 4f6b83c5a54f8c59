"""The loops that are compared must do the same work, and their numbers must be derived rightly."""

import json

import pytest
import torch
from benchmarks.bare import BareLoop
from benchmarks.lightning_run import fit
from benchmarks.paired import overheads
from benchmarks.reference import Tutorial
from benchmarks.results import Results, Spread
from benchmarks.settings import Settings
from benchmarks.stopwatch import Stopwatch, StopwatchCallback
from torch.testing import assert_close

from ganforge.utils.images import to_pil
from ganforge.utils.seeds import torch_rng

TINY = (
    "model.generator.width=4",
    "model.discriminator.width=4",
    "data.source.train_count=32",
    "data.source.test_count=4",
    "data.source.workers=1",
    "trainer.precision=32-true",
    "trainer.accelerator=cpu",
    "callbacks.sample_grid.rows=1",
)


@pytest.fixture
def settings(tmp_path, monkeypatch, tmp_path_factory):
    data = tmp_path_factory.getbasetemp() / "benchmark-data"
    monkeypatch.setenv("GANFORGE_DATA", str(data))
    return Settings(str(tmp_path), size=32, batch_size=8, warmup=1, steps=2, overrides=TINY)


def test_the_bare_loop_makes_the_steps_of_ganforge_train(settings):
    loop = BareLoop(settings)
    start = [p.detach().clone() for p in loop.module.generator.parameters()]
    for _ in range(settings.total_steps):
        loop.step()
    module = fit(settings, StopwatchCallback(settings.warmup, settings.steps))
    for mine, theirs in zip(loop.module.parameters(), module.parameters(), strict=True):
        assert_close(mine, theirs)
    moved = zip(start, loop.module.generator.parameters(), strict=True)
    assert all(not torch.equal(before, after) for before, after in moved)


def test_the_reference_makes_the_same_step_on_the_same_images(settings):
    loop, other = BareLoop(settings), BareLoop(settings).module
    noise = torch_rng(other.seed, 0, "noise")
    tutorial = Tutorial(other.generator, other.discriminator, other.latent_dim)
    images = BareLoop(settings).next_images()
    readings = tutorial.step(images, other.draw_latents(8, noise))
    loop.step()
    assert 0 < readings["D(x)"] < 1
    for mine, theirs in zip(loop.module.parameters(), other.parameters(), strict=True):
        # Adam's first step is a gradient's sign, which is chance for a bias before batch norm.
        if mine.dim() == 4:
            assert (mine - theirs).abs().mean() < 1e-5  # a step moves each weight by 2e-4


def test_the_stopwatch_leaves_out_the_warm_up(monkeypatch):
    clock = iter([100.0, 107.0])
    monkeypatch.setattr("benchmarks.stopwatch.now", lambda device: next(clock))
    watch = Stopwatch(warmup=2, steps=3, device=torch.device("cpu"))
    seconds = []
    for _ in range(6):
        watch.tick()
        seconds.append(watch.seconds)
    assert seconds == [None, None, None, None, 7.0, 7.0]


def test_pairs_are_timed_after_a_block_of_warm_up(settings):
    found = overheads(Settings(**{**vars(settings), "steps": 20}))
    assert len(found) == 2
    assert all(value > -1 for value in found)


def test_ratios_are_taken_round_by_round():
    def measured(reference, ganforge, peak):
        speeds = {"reference": reference, "bare": 2 * ganforge, "ganforge": ganforge}
        return {
            **{
                n: {
                    "images_per_second": s,
                    "computing_per_step": 500 / s,
                    "milliseconds_per_step": 1000 / s,
                    "peak_memory": 10**9,
                }
                for n, s in speeds.items()
            },
            "peak": {"flops": {"32-true": peak, "bf16-mixed": 4 * peak}},
            "load_average": 1.0,
        }

    machine = {
        "precision": "bf16-mixed",
        "kind": "cpu",
        "threads": 1,
        "flops_per_image": {"reference": 3.0, "ganforge": 2.0},
        "peak": {"flops": {"32-true": 60.0, "bf16-mixed": 80.0}},
    }
    rounds = [measured(10, 20, 50), measured(20, 60, 100), measured(10, 50, 30)]
    results = Results("dcgan64", machine, {"steps": 20}, rounds, overheads=[0.02])
    assert results.ratio("ganforge", "reference") == Spread(3.0, 2.0, 5.0)
    # Of the most that was seen at any time: a peak measured in a busy moment is none.
    assert results.share_of_peak("reference") == pytest.approx(0.6)
    assert results.share_of_peak("ganforge") == results.share_of_peak("bare") / 2
    assert results.share_of_peak("ganforge") == pytest.approx(0.5)
    assert json.loads(json.dumps(results.as_dict()))["summary"]["speedup"]["median"] == 3.0


def test_the_reference_reads_what_ganforge_reads(settings):
    from benchmarks.reference import image_files

    images = BareLoop(settings).data.split("train").images
    folder = settings.images / "all"
    folder.mkdir(parents=True)
    to_pil(images[3]).save(folder / "3.png")
    image, _ = image_files(settings)[0]
    assert_close(image, images[3] / 127.5 - 1, atol=1e-5, rtol=0)
