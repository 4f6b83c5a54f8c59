"""Pushed to and fetched from a stand-in of the hub; what lies there is checked as any bundle."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from hub_stand_in import COMMIT, TOKEN, Hub, hub
from huggingface_hub import constants

import ganforge as gf
from ganforge.trained.named import MODELS, place_of
from ganforge.utils.errors import UserError
from helpers import ganforge

BUNDLE = Path(__file__).parents[1] / "trained" / "before_the_rooms" / "bundle"


def known_as(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``HF_ENDPOINT`` says, which the library reads when it is imported."""
    pattern = "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + pattern)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, where the library looks for the hub."""
    with hub() as server:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "data"))
        known_as(server.address, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.chdir(tmp_path)
        yield server


def test_a_model_goes_to_the_hub_and_comes_back(
    server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ganforge("push", f"run={BUNDLE}", "repo=ann/faces", "private=true") == 0
    assert "run=hf:ann/faces" in capsys.readouterr().out
    files = server.files["ann/faces"]
    assert {"README.md", "config.json", "model.safetensors"} <= set(files)
    assert server.private == {"ann/faces": True}
    assert files["model.safetensors"] == (BUNDLE / "model.safetensors").read_bytes()
    assert list(server.stored.values()) == [files["model.safetensors"]]
    _, front, text = files["README.md"].decode().split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "ganforge"
    for words in ("pip install ganforge", "run=hf:ann/faces", 'gf.load("hf:ann/faces")'):
        assert words in text
    fetched = gf.load("hf:ann/faces", device="cpu")
    assert torch.equal(
        fetched.sample(2, label="bob"), gf.load(BUNDLE, device="cpu").sample(2, label="bob")
    )
    assert ganforge("generate", "hf:ann/faces", "n=1", "class=bob") == 0
    assert Path("outputs/bundles/faces/generated/seed_000000.png").is_file()


def test_a_named_commit_is_what_is_fetched(server: Hub) -> None:
    server.files["ann/faces"] = {p.name: p.read_bytes() for p in BUNDLE.iterdir()}
    assert place_of(f"hf:ann/faces@{COMMIT}").name == f"faces@{COMMIT}"
    assert any(f"/resolve/{COMMIT}/config.json" in asked for asked in server.asked)


def test_what_was_fetched_serves_without_a_network(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["ann/faces"] = {p.name: p.read_bytes() for p in BUNDLE.iterdir()}
    place_of("hf:ann/faces")
    known_as("http://127.0.0.1:9", monkeypatch)
    assert (place_of("hf:ann/faces") / "config.json").is_file()
    with pytest.raises(UserError, match=r"hf:ann/others cannot be fetched .*network"):
        place_of("hf:ann/others")


def test_nothing_but_a_bundle_is_fetched_and_it_is_checked(
    server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {p.name: p.read_bytes() for p in BUNDLE.iterdir()}
    facts = json.loads(good["config.json"])
    facts["model"]["generator"]["_target_"] = "os.mkdir"
    evil = good | {
        "config.json": json.dumps(facts).encode(),
        ".hydra/config.yaml": b"model: {_target_: os.mkdir}",
        "checkpoints/last.ckpt": b"pickle",
    }
    server.files |= {"eve/faces": evil, "eve/none": {"README.md": b""}}
    assert ganforge("generate", "run=hf:eve/faces", "n=1") == 2
    assert "not to be trusted" in capsys.readouterr().err
    folder = place_of("hf:eve/faces")
    assert not (folder / ".hydra").exists()
    assert not (folder / "checkpoints").exists()
    assert ganforge("generate", "run=hf:eve/none", "n=1") == 2
    assert "holds no bundle" in capsys.readouterr().err
    damaged = good | {"model.safetensors": good["model.safetensors"][:-1] + b"x"}
    server.files["eve/damaged"] = damaged
    assert ganforge("generate", "run=hf:eve/damaged", "n=1") == 3


@pytest.mark.parametrize(
    "name", ["faces", "../faces/x", "a/b/c", "a/..", "https://x/y", "a/b@", "-a/b"]
)
def test_names_of_nothing_are_refused_before_anything_is_asked(name: str, server: Hub) -> None:
    with pytest.raises(UserError, match="write USER/NAME"):
        place_of(f"hf:{name}")
    assert ganforge("push", f"run={BUNDLE}", f"repo={name}") == 2
    assert not server.asked


def test_who_may_not_write_is_told_so(
    server: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_another")
    assert ganforge("push", f"run={BUNDLE}", "repo=ann/faces") == 2
    told = capsys.readouterr().err
    assert "HF_TOKEN" in told
    assert "hf_of_another" not in told
    assert server.files == {}
    assert ganforge("push", f"run={BUNDLE}", "repo=ann/faces", "license=MIT") == 2
    assert "license, picture and half are chosen" in capsys.readouterr().err


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'ganforge\[hub\]'"):
        place_of("hf:ann/faces")
    assert (MODELS / "glasses").is_dir()
