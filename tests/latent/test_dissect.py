import pytest
import torch

from ganforge.latent.dissect import Dissect, count_units, evidence, switched_off
from ganforge.utils.errors import UserError


def test_evidence_is_the_log_odds():
    logits = torch.tensor([[1.0, 2.0, 0.5]])
    p = logits.softmax(1)[0, 1]
    assert evidence(logits, 1).item() == pytest.approx((p / (1 - p)).log().item(), rel=1e-5)


def test_a_unit_is_off_only_within_the_block(space):
    generator, z = space.generator, torch.tensor([[1.0, 1.0, 0, 0, 0, 0]])
    before = generator(z)
    with switched_off(generator.act, [0]):
        off = generator(z)
    assert off[0, 0, 0, 0] == 0  # unit 0 is the positive part of the left half
    assert torch.equal(off[..., 4:], before[..., 4:])
    assert torch.equal(generator(z), before)
    assert count_units(generator, generator.act, z) == 8


def test_the_units_that_draw_an_attribute_are_found(space):
    findings = Dissect("split=left", images=16, units=2, listed=4, pool=300)(space)
    ranked = [entry["unit"] for entry in findings.numbers["act"]["ranked"]]
    # Left is a bright left half (unit 0) or a dark right half (unit 3); the others work against.
    assert set(ranked[:2]) == {0, 3}
    falls = [entry["fall"] for entry in findings.numbers["act"]["ranked"]]
    assert falls == sorted(falls, reverse=True)
    kept = findings.numbers["act"]["still_classified"]
    assert kept["best"] == 0
    assert findings.pictures["dissect"].rows[0] == "all units"
    assert len(findings.pictures["dissect"].images) == 3 * 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"query": "bright=1,split=0"}, "must name one attribute=value"),
        ({"query": "bright=1", "layers": ["x"]}, "no hidden layer 'x': there are act"),
    ],
)
def test_mistakes_are_one_sentence(space, settings, message):
    with pytest.raises(UserError, match=message):
        Dissect(**settings)(space)
