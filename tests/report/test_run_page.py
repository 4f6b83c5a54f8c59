"""The page of a run: what it holds, that it is one file, and that foreign text stays text."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.metrics.protocol import NOISE, REAL, Protocol, Score
from ganforge.report.run_page import Moment, _as_typed, _duration, write_run_page
from ganforge.utils.runs import Run
from helpers import TINY, TINY_AVATARS, tiny_run

EVIL = "<script>alert('x')</script>"
MOMENT = Moment(
    step=300, steps=600, kimg=9.6, seconds=75.0, since=0, device="CPU", ended=False,
    data={"name": EVIL},
)  # fmt: skip
PROTOCOL = Protocol("cnn", "ab", "none", 64, ema=True, n_real=64, split="train")
SCORES = [
    Score("fid", value, PROTOCOL, step=step, details=((REAL, 1.0), (NOISE, 41.0)))
    for step, value in ((0, 50.0), (100, 40.0), (300, 11.0))
]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A folder as a training leaves it, with text of anyone's wherever text may stand."""
    run = Run(tmp_path / "a <b> run")
    run.samples.mkdir(parents=True)
    run.config.parent.mkdir()
    run.config.write_text(f'seed: 3\nname: "{EVIL}"\n')
    run.config.with_name("overrides.yaml").write_text(
        f'- experiment=quickstart\n- "data.source.path={EVIL}"\n- hydra.run.dir=x\n'
    )
    run.config.with_name("hydra.yaml").write_text(
        "hydra: {runtime: {choices: {experiment: quickstart, model: frugal, norm: none}}}\n"
    )
    noise = np.random.default_rng(0).integers(256, size=(12, 700, 700, 3), dtype=np.uint8)
    for step, pixels in enumerate(noise):
        Image.fromarray(pixels).save(run.samples / f"step_{100 * step:06d}.png")
    (run.samples / "step_001200.png").write_bytes(b"\x89PNG half of one")
    event = {"event": "found", "step": 200, "name": "x", "message": f"the critic wins {EVIL}"}
    (run.folder / "diagnosis.jsonl").write_text(json.dumps(event) + "\n")
    run.metrics.write_text(
        "".join(json.dumps({"step": s, "generator/adversarial": s / 9}) + "\n" for s in (0, 300))
    )
    return run


def test_the_page_is_one_light_file_in_which_foreign_text_is_text(run: Run) -> None:
    page = write_run_page(run, MOMENT, SCORES, "fid64_train").read_text(encoding="utf-8")
    assert page.count("&lt;script&gt;alert(") == page.count("alert(") == 5
    assert len(page) < 2_000_000
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
    assert "a &lt;b&gt; run" in page


def test_the_page_tells_what_was_found_and_chosen(run: Run) -> None:
    page = write_run_page(run, MOMENT, SCORES, "fid64_train").read_text(encoding="utf-8")
    for text in (
        "Nearer to the real images than to noise; still getting better.",  # (41 - 11) / 40
        "75 % of the way", "training, 50 %", 'http-equiv="refresh"', "1 min 15 s",
        "<b>1</b>Step 200: the critic wins", "<em>model</em> frugal", "untrained",
        "What differs from the recipe quickstart",
    ):  # fmt: skip
        assert text in page, text
    assert "<em>norm</em>" not in page
    frames = json.loads(re.findall(r'application/json">(\[\{.*?\])</script>', page)[0])
    # More early ones; the last picture is half of one, and left out.
    assert [frame["step"] for frame in frames] == [0, 100, 200, 400, 500, 700, 800, 1000]


def test_a_finished_page_stands_still(run: Run) -> None:
    ended = Moment(**{**vars(MOMENT), "ended": True})
    page = write_run_page(run, ended, SCORES, "fid64_train").read_text(encoding="utf-8")
    assert 'http-equiv="refresh"' not in page
    assert "trainer.max_steps=600" in page
    stopped = Moment(**{**vars(MOMENT), "ended": True, "stopped": EVIL})
    page = write_run_page(run, stopped, [], None).read_text(encoding="utf-8")
    assert "stopped: &lt;script&gt;" in page


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (59, "59 s"), (3600, "1 h 0 min"), (90061, "1 d 1 h"), (605, "10 min 5 s")],
)
def test_durations_are_told_in_two_units(seconds: float, told: str) -> None:
    assert _duration(seconds) == told


def test_every_training_leaves_its_page_and_some_of_its_data(tmp_path: Path) -> None:
    folder = tiny_run([*TINY, *TINY_AVATARS, "model=gan"], tmp_path / "run")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "finished" in page
    assert "32 to train on, 16 held out" in page
    assert page.count("data:image/webp") >= 3
    assert Image.open(folder / "data.png").width >= 8 * 32


@pytest.mark.parametrize(
    ("kept", "typed"),
    [("data.path='/a b'", "data.path=/a b"), (r"x='it\'s'", "x=it's"), ("x='a','b'", "x='a','b'")],
)
def test_commands_are_shown_as_they_are_typed(kept: str, typed: str) -> None:
    assert _as_typed(kept) == typed
