import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image

from ganforge.callbacks.ema import EMA
from ganforge.callbacks.periodic import PeriodicPictures
from ganforge.callbacks.sample_grid import SampleGrid


def run(folder, tiny_gan, tiny_data, tiny_trainer, **options):
    options = {"every_n_steps": 2, "columns": 3, "rows": 2, "smallest_side": 50, **options}
    trainer = tiny_trainer(max_steps=5, callbacks=[EMA(), SampleGrid(folder, **options)])
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_layout_and_frames(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    files = run(tmp_path / "a", tiny_gan, tiny_data, tiny_trainer)
    steps = [0, 2, 4, 5]
    assert set(files) == {*(f"step_{step:06d}.png" for step in steps), "training.gif"}
    with Image.open(tmp_path / "a" / "step_000005.png") as picture:
        # 8 pixels twice as large (50 // 24 = 2), in cells of 18, after a border of 2.
        assert picture.size == (3 * 18 + 2, 2 * 18 + 2)
    with Image.open(tmp_path / "a" / "training.gif") as gif:
        assert gif.n_frames == len(steps)
        assert gif.info["loop"] == 0


def test_two_runs_write_identical_files(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    first, second = (run(tmp_path / name, tiny_gan, tiny_data, tiny_trainer) for name in ("a", "b"))
    assert first == second


def test_the_seed_chooses_the_latents(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    first = run(tmp_path / "a", tiny_gan, tiny_data, tiny_trainer)
    second = run(tmp_path / "b", tiny_gan, tiny_data, tiny_trainer, seed=1)
    assert first["step_000000.png"] != second["step_000000.png"]


def test_pictures_are_of_the_averages(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    """With a half-life of centuries the average stays untrained: all pictures are the first."""
    grid = SampleGrid(tmp_path, every_n_steps=2, columns=2, rows=2)
    fast = {"optimizer_generator": lambda p: torch.optim.SGD(p, lr=50.0)}
    trainer = tiny_trainer(max_steps=4, callbacks=[EMA(1e9, ramp_up=None), grid])
    trainer.fit(tiny_gan(**fast), datamodule=tiny_data())
    pictures = [np.asarray(Image.open(path)) for path in sorted(tmp_path.glob("*.png"))]
    assert len(pictures) == 3
    assert (pictures[0] == pictures[-1]).all()


def test_long_runs_have_gifs_of_bounded_length(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    grid = SampleGrid(tmp_path, every_n_steps=1, columns=1, rows=1, most_frames=4)
    trainer = tiny_trainer(max_steps=10, callbacks=[grid])
    trainer.fit(tiny_gan(), datamodule=tiny_data())
    assert len(list(tmp_path.glob("*.png"))) == 11
    last = np.asarray(Image.open(tmp_path / "step_000010.png").convert("L"), dtype=int)
    with Image.open(tmp_path / "training.gif") as gif:
        assert gif.n_frames <= 4
        gif.seek(gif.n_frames - 1)
        shown = np.asarray(gif.convert("L"), dtype=int)
    assert abs(shown - last).max() <= 8


def test_a_broken_picture_is_left_out_of_the_gif(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    (tmp_path / "step_000001.png").write_bytes(b"\x89PNG\r\n\x1a\nhalf")
    files = run(tmp_path, tiny_gan, tiny_data, tiny_trainer)
    assert files["step_000001.png"].endswith(b"half")
    with Image.open(tmp_path / "training.gif") as gif:
        assert gif.n_frames == 4


class Written(PeriodicPictures):
    """Files of ten bytes, and the steps that they are of."""

    def __init__(self, folder, most_bytes):
        super().__init__(1, at_start=True, most_bytes=most_bytes)
        self.folder, self.steps = folder, []

    def draw(self, trainer, pl_module, step):
        (self.folder / f"{step}").write_bytes(bytes(10))
        self.steps.append(step)
        return [self.folder / f"{step}"]


def steps_of(pictures, trainer, module, data, **options):
    trainer(max_steps=40, callbacks=[pictures], **options).fit(module, datamodule=data)
    return pictures.steps


def test_pictures_of_a_long_run_are_thinned_evenly(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    steps = steps_of(Written(tmp_path, 100), tiny_trainer, tiny_gan(), tiny_data())
    assert steps == [0, 12, 16, 20, 24, 28, 32, 36, 40]
    assert len(steps) * 10 <= 100


def test_the_copies_of_loggers_count(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    board = TensorBoardLogger(tmp_path, name="tb", version="")
    steps = steps_of(Written(tmp_path, 100), tiny_trainer, tiny_gan(), tiny_data(), logger=board)
    assert steps == [0, 24, 32, 40]


@pytest.mark.parametrize(("most", "expected"), [(1, [0, 40]), (None, [*range(41)])])
def test_first_and_last_are_kept_whatever_the_limit(
    tiny_gan, tiny_data, tiny_trainer, tmp_path, most, expected
):
    assert steps_of(Written(tmp_path, most), tiny_trainer, tiny_gan(), tiny_data()) == expected


def test_what_was_spent_outlives_a_resume(tmp_path):
    before, after = Written(tmp_path, 100), Written(tmp_path, 100)
    before._spent, before._next = 70, 10
    after.load_state_dict(before.state_dict())
    assert (after._spent, after._next) == (70, 10)


def test_a_gif_is_made_of_thinned_pictures(tiny_gan, tiny_data, tiny_trainer, tmp_path):
    files = run(tmp_path, tiny_gan, tiny_data, tiny_trainer, most_bytes=1)
    assert set(files) == {"step_000000.png", "step_000005.png", "training.gif"}
    with Image.open(tmp_path / "training.gif") as gif:
        assert gif.n_frames == 2
