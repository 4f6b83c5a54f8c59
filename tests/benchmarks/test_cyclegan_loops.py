from copy import deepcopy

import torch
from benchmarks.cyclegan import batches, networks, ours, plain


def test_the_plain_loop_does_the_same_work():
    """What is compared for speed ends with the same weights."""
    parts = networks(4, 1)
    mine, theirs = deepcopy(parts), deepcopy(parts)
    # One step: Adam divides by the gradient's size, so that rounding would show after more.
    data = batches(1, 32)
    cpu = torch.device("cpu")
    ours(mine, data, cpu, "32-true")
    plain(theirs, data, cpu)
    for a, b, start in zip(mine, theirs, parts, strict=True):
        for p, q, before in zip(a.parameters(), b.parameters(), start.parameters(), strict=True):
            if p.dim() == 4:
                moved = (p != before).float().mean()
                agree = ((p - q).abs() < 1e-5).float().mean()
                assert moved > 0.9
                assert agree > 0.99
