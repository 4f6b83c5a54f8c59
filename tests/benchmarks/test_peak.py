import torch

from benchmarks import machine


def test_a_clock_that_books_late_makes_no_peak(monkeypatch):
    """A product of 0.3 ms, on a clock that moves every 4 ms."""
    true, value = [0.0], torch.zeros(1)

    def product():
        true[0] += 3e-4
        return value

    monkeypatch.setattr(machine, "worked", lambda device: true[0] // 4e-3 * 4e-3)
    found = machine._best(product, 3.0, torch.device("cpu"), 1.0)
    assert 1e4 * 0.9 < found < 1e4 * 1.1
