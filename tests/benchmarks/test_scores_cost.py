import torch
from benchmarks.scores import CLASSES, DIM, StandIn, fid_seconds, noise, score

from ganforge.metrics.features import extract


def test_the_stand_in_has_the_dimensions_of_inception_and_its_sets_differ():
    one, again, other = (torch.cat([make() for make in noise(601, s)]) for s in (1, 1, 2))
    assert one.shape == (601, 3, 8, 8)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    told = extract(StandIn(), [one[:5]], keep_logits=False)
    assert (told.features.shape, told.logits) == ((5, DIM), None)
    assert extract(StandIn(), [one[:5]]).logits.shape == (5, CLASSES)


def test_both_measurements_run():
    assert score(40) > 1e7
    assert len(fid_seconds(30, rounds=2)) == 2
