import json

import pytest

from helpers import ganforge, tiny_run

TINY_EYES = [
    "experiment=eyes_avatars", "debug=fast", "logger=[]", "trainer.accelerator=cpu",
    "data.source.train_count=12", "data.source.test_count=6", "data.source.workers=1",
    "data.batch_size=4", "model.generator.width=4", "model.discriminator.width=4",
    "callbacks.translation_grid.rows=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A generator of eyes after two steps."""
    return tiny_run(TINY_EYES, tmp_path_factory.mktemp("eyes") / "run")


def test_training_leaves_pictures_scores_and_what_to_do_next(run, tmp_path, capsys):
    assert (run / "samples" / "input_to_truth_000002.png").is_file()
    assert (run / "samples" / "input_to_truth.gif").is_file()
    scores = json.loads((run / "scores.json").read_text())
    assert [score["metric"] for score in scores] == ["region_l1_", "region_psnr"]
    assert scores[0]["protocol"]["n_real"] == 12
    tiny_run(TINY_EYES, tmp_path / "again")
    assert "retouch run=" in capsys.readouterr().out


def test_evaluation_shows_the_baselines_beside_the_model(run, tmp_path, capsys):
    output = tmp_path / "scores.json"
    assert ganforge("evaluate", f"run={run}", f"output={output}", "checkpoint=last") == 0
    records = {record["metric"]: record for record in json.loads(output.read_text())}
    assert set(records) == {"region_l1_", "region_psnr", "seam_ratio", "own_better"}
    beside = records["region_l1_"]["details"]
    names = {"generated", "a stranger's", "mean exemplar", "pasted, matched", "pasted", "untouched"}
    assert set(beside) == names
    assert len(set(beside.values())) == len(names)
    assert beside["generated"] == records["region_l1_"]["value"]
    # Training ended with the same measurement.
    trained = json.loads((run / "scores.json").read_text())[0]
    assert trained["value"] == pytest.approx(records["region_l1_"]["value"], rel=1e-5)
    assert 0 <= records["own_better"]["value"] <= 1
    assert "than a stranger's" in capsys.readouterr().out


def test_what_needs_another_model_is_refused(run, tmp_path, capsys):
    assert ganforge("evaluate", f"run={run}", "features=efficientnet_lite0") == 2
    assert "features has no use" in capsys.readouterr().err
    given = [f"run={run}", f"input={tmp_path}/a.png", f"output={tmp_path}/out"]
    (tmp_path / "a.png").write_bytes(b"")
    assert ganforge("translate", *given) == 2
    assert "ganforge retouch" in capsys.readouterr().err
