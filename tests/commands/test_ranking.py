import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.metrics.protocol import Protocol, Score
from helpers import ganforge

PROTOCOL = Protocol(
    "cnn-toy", "ab" * 32, "none", 2000, True, 2000, "train", "cd" * 32, checkpoint="best"
)
FID = Score("fid", 3.0, PROTOCOL, interval=(2.5, 3.5))


def make_run(folder, scores=(FID,), width=8, seed=0, evaluated=True):
    hydra = folder / ".hydra"
    hydra.mkdir(parents=True)
    (hydra / "config.yaml").write_text(
        f"seed: {seed}\nname: x\nmodel: {{width: {width}, seed: '${{seed}}'}}\n"
        f"paths: {{output_dir: {folder}}}\n"
    )
    path = folder / ("evaluations/fid.json" if evaluated else "scores.json")
    path.parent.mkdir(exist_ok=True)
    records = [s.of_run(folder.name if evaluated else None).to_dict() for s in scores]
    path.write_text(json.dumps(records))
    (folder / "samples").mkdir()
    Image.new("RGB", (4, 4), "red").save(folder / "samples" / "grid.png")
    return str(folder)


def valued(*values):
    return [replace(FID, value=value) for value in values]


def test_what_never_learned_is_ranked_last_though_its_score_is_the_best(tmp_path, capsys):
    """As of grey grids that a classifier's features take for faces."""
    make_run(tmp_path / "grey", [replace(FID, value=0.1, step=0)])
    make_run(tmp_path / "trained", [replace(FID, value=9.0, step=500)], width=16)
    assert ganforge("leaderboard", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert out.index("trained") < out.index("grey")


def test_seeds_of_one_recipe_are_one_row(tmp_path, capsys):
    runs = [
        make_run(tmp_path / f"dcgan-2026010{seed}-000000", valued(value), seed=seed)
        for seed, value in enumerate((4.0, 5.0, 6.0))
    ]
    runs.append(make_run(tmp_path / "wide", valued(3.5), width=16))
    assert ganforge("compare", *runs) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [part.strip() for part in lines[0].strip("│").split("│")] == [
        "1", "wide", "0", "3.5 (2.5–3.5)",
    ]  # fmt: skip
    assert [part.strip() for part in lines[1].strip("│").split("│")] == [
        "2", "dcgan", "0, 1, 2", "5 ± 1",
    ]  # fmt: skip


def test_jobs_of_sweeps_are_told_apart(tmp_path, capsys):
    """Each is called by its path below what was named, or below what the runs share."""
    runs = [
        make_run(tmp_path / f"sweeps/{name}/{job}", valued(value), width=width, seed=job)
        for name, width in (("one", 8), ("two", 16))
        for job, value in enumerate((4.0, 5.0))
    ]
    assert ganforge("leaderboard", str(tmp_path)) == 0
    text = capsys.readouterr().out
    assert "sweeps/one/0 and 1 more" in text
    assert "sweeps/two/0 and 1 more" in text
    assert ganforge("compare", runs[0], runs[2]) == 0
    text = capsys.readouterr().out
    table = "\n".join(line for line in text.splitlines() if "│" in line)
    assert "one/0" in table
    assert "sweeps" not in table


def test_a_run_that_was_logged_to_wandb_is_of_the_same_recipe(tmp_path, capsys):
    runs = [make_run(tmp_path / name, valued(v), seed=v) for name, v in (("a", 4), ("b", 6))]
    config = tmp_path / "b" / ".hydra" / "config.yaml"
    config.write_text(
        f"{config.read_text()}logger: {{wandb: {{project: x}}}}\n"
        "callbacks: {latent_walk: {frames: 10}, speed: {}}\n"
    )
    plain = tmp_path / "a" / ".hydra" / "config.yaml"
    plain.write_text(f"{plain.read_text()}logger: {{csv: {{}}}}\ncallbacks: {{}}\n")
    assert ganforge("compare", *runs) == 0
    assert "5 ± 1.4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_fake": 500, "split": "train"}, None),
        ({"sha256": "ef" * 32}, "sha256: abababab… against efefefef…"),
        ({"data_hash": "12" * 32}, "data_hash: cdcdcdcd… against 12121212…"),
        ({"ema": False}, "ema: True against False"),
        ({"checkpoint": "last"}, "checkpoint: 'best' against 'last'"),
    ],
)
def test_unlike_protocols_are_not_ranked(change, told, tmp_path, capsys):
    other = replace(FID, protocol=replace(PROTOCOL, **change))
    runs = [make_run(tmp_path / "a"), make_run(tmp_path / "b", [other])]
    assert ganforge("compare", *runs) == 2
    error = capsys.readouterr().err
    assert (told or "no score in common (a: fid2k_train; b: fid500_train)") in error


def test_higher_is_better_where_it_is(tmp_path, capsys):
    for width, (name, value) in enumerate((("low", 0.2), ("high", 0.9))):
        make_run(tmp_path / name, [FID, Score("recall", value, PROTOCOL)], width)
    runs = [str(tmp_path / "low"), str(tmp_path / "high")]
    assert ganforge("compare", *runs, "metric=recall") == 0
    out = capsys.readouterr().out
    assert out.index("high") < out.index("low")


def test_memorisation_is_best_at_one_half(tmp_path, capsys):
    for width, (name, value) in enumerate((("copies", 0.99), ("new", 0.45))):
        make_run(tmp_path / name, [Score("memorisation", value, PROTOCOL)], width)
    assert ganforge("compare", str(tmp_path / "copies"), str(tmp_path / "new")) == 0
    out = capsys.readouterr().out
    assert out.index("new") < out.index("copies")


def test_a_leaderboard_has_a_table_for_each_protocol_and_pictures(tmp_path, capsys):
    make_run(tmp_path / "a")
    make_run(tmp_path / "nested" / "b", valued(2.0), width=9)
    other = replace(FID, protocol=replace(PROTOCOL, data_hash="12" * 32))
    make_run(tmp_path / "c", [other])
    make_run(tmp_path / "unscored", [])
    (tmp_path / "latest").symlink_to("a")
    assert ganforge("leaderboard", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert out.count("seeds") == 2
    assert "not ranked together: data_hash: cdcdcdcd… against 12121212…" in out
    assert "unscored was never scored" in " ".join(out.split())
    page = (tmp_path / "leaderboard.html").read_text()
    assert page.count("data:image/webp;base64") == 3
    assert page.index("nested") < page.index(f"{tmp_path}/a")


def test_a_page_of_many_runs_is_light_and_has_each_picture_once(tmp_path, capsys):
    noise = np.random.default_rng(0).integers(256, size=(400, 400, 3), dtype=np.uint8)
    other = replace(FID, protocol=replace(PROTOCOL, data_hash="12" * 32))
    for width in range(40):
        run = make_run(tmp_path / f"run{width}", [FID, other], width)
        Image.fromarray(np.roll(noise, width)).save(Path(run, "samples/grid.png"))
    assert ganforge("leaderboard", str(tmp_path)) == 0
    page = (tmp_path / "leaderboard.html").read_text()
    assert page.count("data:image/webp;base64") == 40
    assert len(page) < 2_000_000


SWEPT = [("loss=hinge", "seed=0"), ("loss=hinge", "seed=1"), ("loss=minimax", "seed=0")]


def make_sweep(folder, jobs=SWEPT):
    """A sweep over losses and seeds; a configuration differs in its width."""
    for number, words in enumerate(jobs):
        width = 8 if "loss=hinge" in words else 16
        make_run(folder / str(number), valued(4.0 + number), width, seed=number)
    listed = [{"number": n, "overrides": ["model=gan", *words]} for n, words in enumerate(jobs)]
    (folder / "sweep.json").write_text(json.dumps({"jobs": listed}))
    return folder


def test_rows_of_a_sweep_are_called_by_what_was_swept(tmp_path, capsys):
    sweep = make_sweep(tmp_path / "sweeps" / "x")
    (sweep / "3" / ".hydra").mkdir(parents=True)
    (sweep / "3" / ".hydra" / "config.yaml").write_text("model: {}\n")
    assert ganforge("compare", str(sweep)) == 0
    told = capsys.readouterr()
    rows = [[part.strip() for part in line.strip("│").split("│")]
            for line in told.out.splitlines() if line.startswith("│")]  # fmt: skip
    assert [row[:3] for row in rows] == [["1", "loss=hinge", "0, 1"], ["2", "loss=minimax", "2"]]
    assert "1 of 4 jobs of " in told.err
    assert ganforge("leaderboard", str(tmp_path)) == 0
    assert "sweeps/x: loss=hinge" in " ".join(capsys.readouterr().out.split())


def test_a_damaged_list_of_jobs_costs_names_alone(tmp_path, capsys):
    (make_sweep(tmp_path / "x") / "sweep.json").write_text('{"jobs": [{"overrides": 3}]}')
    assert ganforge("compare", str(tmp_path / "x")) == 0
    assert "0 and 1 more" in capsys.readouterr().out


CNN_AND_INCEPTION = [FID, replace(FID, value=50.0, protocol=replace(PROTOCOL, extractor="in"))]


def rescore(folder, score, file):
    """A later evaluation of a run."""
    path = Path(folder) / "evaluations" / file
    path.write_text(json.dumps([score.to_dict()]))
    os.utime(path, ns=(2**62, 2**62))


def test_runs_are_ranked_by_the_protocol_that_all_share(tmp_path, capsys):
    """The first was scored by a second extractor since, the other was not."""
    runs = [make_run(tmp_path / "a"), make_run(tmp_path / "b", valued(2.0), width=9)]
    rescore(runs[0], CNN_AND_INCEPTION[1], "fid_in.json")
    assert ganforge("compare", *runs) == 0
    out = capsys.readouterr().out
    assert "3 (2.5–3.5)" in out
    assert "50 (" not in out
    assert out.index("2 (2.5") < out.index("3 (2.5")
    assert ganforge("compare", *runs, "extractor=in") == 2
    assert "b has no score of extractor=in, but of ['cnn-toy']" in capsys.readouterr().err


def test_a_second_shared_protocol_is_told_and_can_be_chosen(tmp_path, capsys):
    runs = [make_run(tmp_path / n, CNN_AND_INCEPTION, w) for n, w in (("a", 8), ("b", 9))]
    assert ganforge("compare", *runs) == 0
    out = capsys.readouterr().out
    assert "fid2k_train is shared by another protocol, too: extractor: 'in' against" in out
    assert ganforge("compare", *runs, "extractor=in") == 0
    assert "50 (" in capsys.readouterr().out
    assert ganforge("leaderboard", str(tmp_path), "extractor=in") == 0
    out = capsys.readouterr().out
    assert "50 (" in out
    assert "3 (" not in out


def test_the_newest_of_equal_measurements_is_taken(tmp_path, capsys):
    runs = [make_run(tmp_path / "a"), make_run(tmp_path / "b", valued(2.0), width=9)]
    other_noise = replace(FID, value=7.0, protocol=replace(PROTOCOL, seed=5))
    rescore(runs[0], other_noise, "a_first_by_name.json")
    assert ganforge("compare", *runs) == 0
    assert "7 (2.5–3.5)" in capsys.readouterr().out


def test_a_renamed_run_keeps_its_evaluations(tmp_path, capsys):
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", valued(2.0), width=9)
    (tmp_path / "a").rename(tmp_path / "renamed")
    assert ganforge("compare", str(tmp_path / "renamed"), str(tmp_path / "b")) == 0
    assert "renamed" in capsys.readouterr().out


def test_a_leaderboard_joins_runs_by_any_shared_protocol(tmp_path, capsys):
    """a and c have only one extractor each, b has both: two tables, b in both of them."""
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", CNN_AND_INCEPTION, width=9)
    make_run(tmp_path / "c", CNN_AND_INCEPTION[1:], width=10)
    assert ganforge("leaderboard", str(tmp_path)) == 0
    tables = capsys.readouterr().out.split("features (")
    rows = [[n for n in "abc" if f" {n} " in part.replace("│", " ")] for part in tables[:2]]
    assert rows == [["a", "b"], ["b", "c"]]


def test_compared_runs_have_their_pictures_beside_them(tmp_path, capsys):
    runs = [make_run(tmp_path / "a"), make_run(tmp_path / "b", valued(2.0), width=9)]
    page = tmp_path / "page.html"
    assert ganforge("compare", *runs, f"output={page}") == 0
    out = capsys.readouterr().out
    for name in "ab":
        assert f"samples of {name}: {tmp_path}/{name}/samples/grid.png" in out
    text = page.read_text()
    assert text.count("data:image/webp;base64") == 2
    assert text.index(f"{tmp_path}/b") < text.index(f"{tmp_path}/a")


def test_scores_of_training_are_taken_at_the_best_checkpoint(tmp_path, capsys):
    history = [
        replace(FID, value=value, step=step) for step, value in ((0, 90.0), (5, 2.5), (9, 7.0))
    ]
    make_run(tmp_path / "a", history, evaluated=False)
    make_run(tmp_path / "b", valued(4.0), width=9)
    assert ganforge("compare", str(tmp_path / "a"), str(tmp_path / "b")) == 0
    out = capsys.readouterr().out
    assert out.index("2.5") < out.index("4 (")


def test_the_best_of_a_diverged_run_is_last(tmp_path, capsys):
    make_run(tmp_path / "a", valued(float("nan")))
    make_run(tmp_path / "b", valued(40.0), width=9)
    assert ganforge("compare", str(tmp_path / "a"), str(tmp_path / "b")) == 0
    out = capsys.readouterr().out
    assert out.index("40") < out.index("nan")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["compare"], "runs must be given"),
        (["compare", "nowhere"], "nowhere is not a run"),
        (["leaderboard", "nowhere"], "nowhere is not a folder"),
        (["leaderboard", "."], "no scored runs"),
    ],
)
def test_what_is_not_there_is_said(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert ganforge(*arguments) == 2
    assert told in capsys.readouterr().err


def test_one_run_and_a_damaged_file_are_refused(tmp_path, capsys):
    run = make_run(tmp_path / "it's = a run")
    assert ganforge("compare", run) == 2
    assert "at least two runs" in capsys.readouterr().err
    Path(run, "evaluations/fid.json").write_text('[{"name"')
    other = make_run(tmp_path / "b")
    assert ganforge("compare", run, other) == 3
    assert "cannot be read as scores" in capsys.readouterr().err
