import sys
from pathlib import Path

import pytest
import torch

from ganforge.metrics import vit
from ganforge.metrics.vit import CLIPFeatures, DINOv2Features
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.files import file_sha256


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("GANFORGE_CLIP", "GANFORGE_DINOV2"):
        monkeypatch.delenv(name, raising=False)


def random_images(*shape):
    rng = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)


@pytest.fixture(scope="module")
def clip_weights(tmp_path_factory):
    """Random weights in the format of OpenAI's files: a TorchScript archive of a tiny model."""
    from torch_fidelity.feature_extractor_clip import CLIPVisual

    class Visual(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = CLIPVisual(16, 28, 2, 64, 14).visual
            self.text_projection = torch.nn.Parameter(torch.zeros(8, 16))

        def forward(self, x):
            return x

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Visual()
    path = tmp_path_factory.mktemp("clip") / "random.pt"
    torch.jit.trace(model, torch.zeros(1)).save(str(path))
    return path


def test_clip_is_torch_fidelity_s(clip_weights):
    from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP

    reference = FeatureExtractorCLIP(
        "clip-vit-b-32", ["clip"], feature_extractor_weights_path=str(clip_weights), verbose=False
    )
    before = torch.get_rng_state()
    ours = CLIPFeatures(clip_weights)
    images = random_images(3, 3, 20, 24)
    torch.testing.assert_close(ours(images).features, reference(images)[0])
    assert torch.equal(before, torch.get_rng_state())
    assert (ours.dim, ours.size, ours.sha256) == (16, 28, file_sha256(clip_weights))
    grey = random_images(2, 1, 9, 9)
    torch.testing.assert_close(ours(grey).features, ours(grey.expand(-1, 3, -1, -1)).features)


@pytest.fixture(scope="module")
def dino_weights(tmp_path_factory):
    """Random weights under the names of the published file, for 37×37 patches of 14."""
    timm = pytest.importorskip("timm", reason="the extra dinov2 is not installed")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model("vit_small_patch14_dinov2", pretrained=False, num_classes=0)
    state = {**network.state_dict(), "mask_token": torch.zeros(1, 384)}
    path = tmp_path_factory.mktemp("dino") / "random.pth"
    torch.save(state, path)
    return path


def test_dinov2_prepares_as_torch_fidelity_does(dino_weights, monkeypatch):
    from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

    ours = DINOv2Features(dino_weights)
    monkeypatch.setattr(torch.hub, "load", lambda repository, name: ours.network)
    reference = FeatureExtractorDinoV2("dinov2-vit-s-14", ["dinov2"])
    images = random_images(2, 3, 32, 32)
    features = ours(images).features
    torch.testing.assert_close(features, reference(images)[0], rtol=1e-4, atol=1e-4)
    assert features.shape == (2, ours.dim)
    assert not torch.allclose(features[0], features[1])


CLASSES = [
    (CLIPFeatures, "clip-vit-b-32.pt", "GANFORGE_CLIP"),
    (DINOv2Features, "dinov2_vits14_pretrain.pth", "GANFORGE_DINOV2"),
]


@pytest.mark.parametrize(("features", "file", "environment"), CLASSES)
def test_missing_weights_are_one_sentence(features, file, environment, tmp_path, monkeypatch):
    def unreachable(url, timeout):
        raise OSError(f"no route to {url}")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(UserError) as told:
        features(None, tmp_path)
    parts = (file, str(tmp_path / "weights"), "https://", "features=cnn", environment)
    assert all(part in str(told.value) for part in parts)
    with pytest.raises(UserError, match=r"none\.pt, which features\.weights names"):
        features(tmp_path / "none.pt", tmp_path)
    monkeypatch.setenv(environment, str(tmp_path / "gone.pt"))
    with pytest.raises(UserError, match=rf"gone\.pt, which {environment} names"):
        features(None, tmp_path)


@pytest.mark.parametrize("features", [CLIPFeatures, DINOv2Features])
def test_other_files_and_other_names_are_refused(features, tmp_path):
    if features is DINOv2Features:
        pytest.importorskip("timm", reason="the extra dinov2 is not installed")
    wrong = tmp_path / "wrong.pt"
    torch.save({"weight": torch.zeros(3)}, wrong)
    with pytest.raises(DamagedFileError, match=r"wrong\.pt does not hold"):
        features(wrong)
    with pytest.raises(UserError, match=r"features\.model=vgg: choose"):
        features(wrong, model="vgg")


def test_without_timm_the_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    path = tmp_path / "some.pth"
    path.touch()
    with pytest.raises(UserError, match=r"pip install 'ganforge\[dinov2\]'"):
        DINOv2Features(path)


def test_the_published_addresses_are_the_libraries():
    from torch_fidelity.feature_extractor_dinov2 import MODEL_METADATA

    assert set(MODEL_METADATA) == {f"dinov2-vit-{letter}-14" for letter in vit.SIZES}
    assert Path(vit.DINOV2.format("s")).name == "dinov2_vits14_pretrain.pth"
