import json
from types import SimpleNamespace

import pytest

from ganforge.callbacks.judge import Judge
from ganforge.metrics.protocol import Protocol, Score
from ganforge.training.outcome import record_outcome
from ganforge.utils.runs import Run

PROTOCOL = Protocol("cnn", "ab", "none", 64, ema=True, n_real=64, split="train", seed=7)


class Told(Judge):
    newest = None


@pytest.mark.parametrize(
    ("value", "kept"), [(3.5, 3.5), (float("nan"), None), (float("inf"), None)]
)
def test_a_value_travels_with_its_protocol_but_without_its_draw(value, kept, tmp_path):
    judge = Told(10)
    judge.newest = Score("fid", value, PROTOCOL, step=20)
    trainer = SimpleNamespace(callbacks=[judge], global_step=30, is_global_zero=True)
    assert record_outcome(Run(tmp_path), trainer) == kept
    outcome = json.loads((tmp_path / "outcome.json").read_text())
    protocol = outcome.pop("protocol")
    assert outcome == {"objective": "fid64_train", "value": kept, "step": 20, "pruned": False}
    assert protocol["n_fake"] == 64
    assert (protocol["seed"], protocol["real_seed"]) == (0, 0)
    assert Protocol.from_dict(protocol) == PROTOCOL.without_draws()


def test_a_run_that_measures_nothing_has_no_value(tmp_path):
    trainer = SimpleNamespace(callbacks=[], global_step=30, is_global_zero=True)
    assert record_outcome(Run(tmp_path), trainer) is None
    outcome = json.loads((tmp_path / "outcome.json").read_text())
    assert (outcome["objective"], outcome["protocol"], outcome["step"]) == (None, None, 30)
