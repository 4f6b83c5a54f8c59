import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ganforge.metrics import inception
from ganforge.metrics.inception import InceptionFeatures
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import file_sha256

FILE = "weights-inception-2015-12-05-6726825d.pth"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random weights in the format of the published file."""
    from torch_fidelity import FeatureExtractorInceptionV3, feature_extractor_inceptionv3

    def own_state(*args, **kwargs):
        return sys._getframe(1).f_locals["self"].state_dict()

    path = tmp_path_factory.mktemp("inception") / "random.pth"
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        patch.setattr(feature_extractor_inceptionv3, "load_state_dict_from_url", own_state)
        torch.save(FeatureExtractorInceptionV3("random", ["2048"]).state_dict(), path)
    return path


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("GANFORGE_INCEPTION", raising=False)


def test_features_are_those_of_torch_fidelity(weights):
    from torch_fidelity import FeatureExtractorInceptionV3

    reference = FeatureExtractorInceptionV3(
        "reference", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
    )
    before = torch.get_rng_state()
    ours = InceptionFeatures(weights)
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 32, 32), generator=rng, dtype=torch.uint8)
    out, (features, logits) = ours(images), reference(images)
    torch.testing.assert_close(out.features, features)
    torch.testing.assert_close(out.logits, logits)
    assert out.features.shape == (2, 2048)
    assert ours.sha256 == file_sha256(weights)
    assert torch.equal(before, torch.get_rng_state())


def test_weights_are_found_in_the_documented_order(weights, tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    folder.mkdir()
    kept = folder / FILE
    kept.write_bytes(b"kept")
    assert inception.find_weights(None, folder) == kept
    monkeypatch.setenv("GANFORGE_INCEPTION", str(weights))
    assert inception.find_weights(None, folder) == weights
    assert inception.find_weights(kept, folder) == kept


def test_a_named_file_that_is_missing_is_never_replaced_by_another(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"none\.pth, which features\.weights names"):
        InceptionFeatures(tmp_path / "none.pth", tmp_path)
    monkeypatch.setenv("GANFORGE_INCEPTION", str(tmp_path / "gone.pth"))
    with pytest.raises(UserError, match=r"gone\.pth, which GANFORGE_INCEPTION names"):
        InceptionFeatures(None, tmp_path)


def test_without_weights_and_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    address = (tmp_path / "unreachable" / FILE).as_uri()
    monkeypatch.setattr(inception, "url", lambda: address)
    with pytest.raises(UserError) as told:
        InceptionFeatures(None, tmp_path)
    for part in (FILE, str(tmp_path / "weights"), address, "features=cnn", "GANFORGE_INCEPTION"):
        assert part in str(told.value)
    assert list((tmp_path / "weights").iterdir()) == []


def test_the_published_address_is_the_library_s():
    assert inception.url().endswith(FILE)


def test_a_download_that_is_another_file_is_refused(weights, tmp_path, monkeypatch):
    source = tmp_path / FILE
    source.write_bytes(b"a page that says sorry")
    monkeypatch.setattr(inception, "url", source.as_uri)
    with pytest.raises(UserError, match="not the file that its name promises"):
        InceptionFeatures(None, tmp_path / "data")
    named_by_its_hash = tmp_path / f"weights-{file_sha256(weights)[:8]}.pth"
    named_by_its_hash.write_bytes(weights.read_bytes())
    monkeypatch.setattr(inception, "url", named_by_its_hash.as_uri)
    found = inception.find_weights(None, tmp_path / "data" / "weights")
    assert file_sha256(found) == file_sha256(weights)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_damaged_and_hostile_files_are_refused(weights, tmp_path):
    short = tmp_path / "short.pth"
    short.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(DamagedFileError, match=r"short\.pth does not hold the Inception weights"):
        InceptionFeatures(short)
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, other)
    with pytest.raises(DamagedFileError, match="does not hold"):
        InceptionFeatures(other)
    bomb = Bomb()
    bomb.path = str(tmp_path / "executed")
    torch.save(bomb, other)
    with pytest.raises(DamagedFileError, match="does not hold"):
        InceptionFeatures(other)
    assert not Path(bomb.path).exists()


def test_importing_the_metrics_imports_no_heavy_library():
    code = (
        "import sys, ganforge.metrics.scores, ganforge.metrics.cnn, ganforge.metrics.inception, "
        "ganforge.metrics.efficientnet; "
        "print({'torchvision', 'torch_fidelity', 'torchmetrics', 'lightning'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
