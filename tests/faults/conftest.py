import pytest
from fault_harness import Lab, outcome, overrides_of


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def whole(data, tmp_path_factory):
    """What each uninterrupted run ends in; each is trained once."""
    found = {}

    def make(model, ranks=1):
        if (model, ranks) not in found:
            folder = tmp_path_factory.mktemp(f"whole-{model}-{ranks}") / "run"
            assert Lab(data, overrides_of(model), ranks).run(folder) == [0] * ranks
            found[model, ranks] = outcome(folder)
        return found[model, ranks]

    return make


@pytest.fixture
def lab(data):
    """Runs of the smallest model."""
    return Lab(data, overrides_of("gan"))
