"""A bundle draws what its run draws, and a configuration in it can do nothing but compute."""

import json
import runpy
import shutil
import sys
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

import ganforge as gf
from ganforge.config.trusted import find_class, refuse_untrusted
from ganforge.sharing.export import Wish, export, portable, probe
from ganforge.trained.bundle import read_bundle
from ganforge.trained.load import load_bundle, load_run
from ganforge.utils.errors import DamagedFileError, UserError
from ganforge.utils.images import to_pil
from helpers import TINY, TINY_AVATARS, ganforge, options, tiny_run

TRANSLATOR = [
    "debug=fast", "logger=[]", "trainer.accelerator=cpu", "callbacks.translation_grid.rows=2",
    "data.size=32", "data.batch_size=2", "data.a.train_count=8", "data.a.test_count=6",
    "data.a.workers=1", "model.a_to_b.width=4", "model.a_to_b.blocks=1", "model.critic_a.width=4",
    "model.critic_a.layers=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DCGAN of two steps."""
    small = [*TINY_AVATARS, *TINY, "logger=[]", "trainer.accelerator=cpu"]
    return tiny_run([*small, "model.generator.width=8"], tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of that run."""
    folder = tmp_path_factory.mktemp("bundles") / "faces"
    assert ganforge("export", f"run={run}", f"output={folder}", "license=CC0-1.0") == 0
    return folder


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A bundle that a test may spoil."""
    return shutil.copytree(bundle, tmp_path / "copy")


def pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit(bundle: Path, **entries: object) -> None:
    path = bundle / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_a_bundle_is_weights_json_card_and_picture(bundle: Path) -> None:
    names = {"config.json", "model.safetensors", "README.md", "samples.png", "scores.json"}
    assert {path.name for path in bundle.iterdir()} == names
    assert Image.open(bundle / "samples.png").size[0] > 256
    weights = load_file(bundle / "model.safetensors")
    assert {name.split(".")[0] for name in weights} == {"generator"}
    assert not [path for path in bundle.parent.iterdir() if path.name.startswith(".")]


def test_a_bundle_says_nothing_of_the_machine_it_comes_from(bundle: Path, run: Path) -> None:
    text = (bundle / "config.json").read_text() + (bundle / "README.md").read_text()
    assert str(run.parent) not in text
    assert str(Path.home()) not in text


def test_the_card_tells_scores_with_their_protocol(bundle: Path) -> None:
    card = (bundle / "README.md").read_text()
    for words in ("fid16_train", "16 generated, 32 real", "CC0-1.0", "`avatars`", "samples.png"):
        assert words in card
    assert "ganforge generate run=faces" in card


def test_the_card_begins_as_hubs_read_it(bundle: Path) -> None:
    _, front, _ = (bundle / "README.md").read_text().split("---\n", 2)
    told = yaml.safe_load(front)
    assert (told["library_name"], told["license"]) == ("ganforge", "cc0-1.0")
    assert told["pipeline_tag"] == "unconditional-image-generation"
    (metric,) = told["model-index"][0]["results"][0]["metrics"]
    (score,) = json.loads((bundle / "scores.json").read_text())
    assert (metric["name"], metric["value"]) == (score["name"], score["value"])


def test_a_bundle_knows_its_scores(run: Path, bundle: Path) -> None:
    ours, theirs = (gf.load(folder, device="cpu").scores for folder in (run, bundle))
    assert [(s.name, s.value, s.protocol) for s in ours] == [
        (s.name, s.value, s.protocol) for s in theirs
    ]


def test_half_is_half_the_size_and_a_level_at_most(
    run: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = tmp_path / "half"
    assert ganforge("export", f"run={run}", f"output={half}", "half=true") == 0
    sizes = [(each / "model.safetensors").stat().st_size for each in (bundle, half)]
    assert sizes[1] < 0.6 * sizes[0]
    assert "rounded to 16-bit floats" in (half / "README.md").read_text()
    whole, rounded = (gf.load(each, device="cpu") for each in (bundle, half))
    assert next(rounded.module.generator.parameters()).dtype == torch.float32
    apart = whole.sample(8, seed=5).int() - rounded.sample(8, seed=5).int()
    assert apart.abs().max() <= 1
    monkeypatch.setattr(torch.Tensor, "half", lambda tensor: (1.1 * tensor).to(torch.float16))
    whole_run = load_run(run, device="cpu")
    with pytest.raises(UserError, match="does not bear half=true"):
        export(whole_run, tmp_path / "no", Wish(half=True))
    assert not (tmp_path / "no").exists()


def test_a_space_is_a_bundle_with_a_program(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a bundle, too; its program is run with a stand-in for Gradio."""
    space = tmp_path / "space"
    words = [f"run={bundle}", f"output={space}", "format=space"]
    assert ganforge("export", *words) == 0
    assert ganforge("export", *words) == 2
    assert ganforge("export", *words, "overwrite=true") == 0
    _, front, text = (space / "README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front) == {
        "title": "tiny", "sdk": "gradio", "app_file": "app.py", "license": "cc0-1.0"
    }  # fmt: skip
    assert "model-index" not in text
    assert (space / "requirements.txt").read_text().split() == ["ganforge>=0.1.0", "gradio>=5"]
    gradio = MagicMock()
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    program = runpy.run_path(str(space / "app.py"))
    pictures = program["draw"](3, 2, 2, None)
    model = gf.load(bundle)
    wanted = [to_pil(image) for image in model.sample(2, seed=3)]
    assert [each.tobytes() for each in pictures] == [each.tobytes() for each in wanted]
    gradio.Interface.assert_called_once()


def test_a_copy_of_a_bundle_takes_nothing_that_it_points_to(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of this machine")
    (copy / "samples_x.png").symlink_to(tmp_path / "secret")
    assert ganforge("export", f"run={copy}", f"output={tmp_path / 's'}", "format=space") == 0
    assert not (tmp_path / "s" / "samples_x.png").exists()
    assert ganforge("export", f"run={copy}", "format=space", "license=MIT", "output=x") == 2


def test_a_bundle_gives_the_pictures_of_its_run_bit_for_bit(
    run: Path, bundle: Path, tmp_path: Path
) -> None:
    for source, name in ((run, "a"), (bundle, "b")):
        arguments = [f"run={source}", f"output={tmp_path / name}", "n=5", "seed=3", "device=cpu"]
        assert ganforge("generate", *arguments) == 0
    assert pictures(tmp_path / "a") == pictures(tmp_path / "b")
    assert len(pictures(tmp_path / "a")) == 5


def test_a_bundle_is_scored_and_explored_as_its_run(
    run: Path, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found, beside = [], Path("outputs/bundles") / copy.name
    for folder, place in ((run, run), (copy, beside)):
        assert ganforge("evaluate", f"run={folder}", "n=16") == 0
        (path,) = (place / "evaluations").glob("*.json")
        records = json.loads(path.read_text())
        found.append([(r["name"], r["value"], r["protocol"]) for r in records])
    assert found[0] == found[1]
    small = ["tool=neighbours", "tool.n=4", "tool.shown=2", "tool.k=1"]
    assert ganforge("explore", f"run={copy}", *small) == 0
    assert (beside / "explore" / "neighbours" / "explore.json").is_file()
    assert not {"evaluations", "explore"} & {path.name for path in copy.iterdir()}


def test_a_translator_goes_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny_run(["experiment=cyclegan_avatars", *TRANSLATOR], tmp_path / "run")
    bundle = tmp_path / "bundle"
    assert ganforge("export", f"run={run}", f"output={bundle}") == 0
    weights = load_file(bundle / "model.safetensors")
    assert {name.split(".")[0] for name in weights} == {"a_to_b", "b_to_a"}
    assert {"samples_a_to_b.png", "samples_b_to_a.png"} <= {p.name for p in bundle.iterdir()}
    (tmp_path / "in").mkdir()
    Image.effect_noise((50, 33), 90).save(tmp_path / "in" / "x.png")
    space = tmp_path / "space"
    assert ganforge("export", f"run={run}", f"output={space}", "format=space") == 0
    monkeypatch.setitem(sys.modules, "gradio", MagicMock())
    translated = runpy.run_path(str(space / "app.py"))["translate"](
        Image.effect_noise((50, 33), 90), "b_to_a"
    )
    assert translated.size == (50, 33)
    for way in ("a_to_b", "b_to_a"):
        made = []
        for source in (run, bundle):
            out = tmp_path / f"{source.name}-{way}"
            arguments = [f"input={tmp_path}/in", f"output={out}", f"direction={way}"]
            assert ganforge("translate", f"run={source}", *arguments) == 0
            made.append((out / "x.png").read_bytes())
        assert made[0] == made[1]


SMALL = {
    "cyclegan": ["model.a_to_b.width=4", "model.critic_a.width=4", "data.size=32"],
    "pix2pix": ["model.generator.width=4", "model.discriminator.width=4"],
}


@pytest.mark.parametrize("model", options("model"))
def test_every_model_can_be_a_bundle(model: str, tmp_path: Path) -> None:
    """Built from what a bundle would say, on no device at all and then for real."""
    from ganforge.config.build import build, build_bundled
    from ganforge.trained.load import LoadedRun
    from ganforge.utils.runs import Run
    from helpers import composed

    config = composed("train", [f"model={model}", *SMALL.get(model, [])], tmp_path, tmp_path)
    loaded = LoadedRun(Run(tmp_path), config, build(config.model).eval(), 0, False)
    parts = portable(loaded)
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in build_bundled(parts.model).state_dict().items()}
    state = loaded.module.state_dict()
    assert shapes == {key: state[key].shape for key in shapes}
    twin = build_bundled(parts.model).eval()
    twin.load_state_dict({key: state[key] for key in shapes})
    again = LoadedRun(Run(tmp_path), config, twin, 0, False)
    for ours, theirs in zip(probe(loaded), probe(again), strict=True):
        assert torch.equal(ours, theirs)


# What is there stays.


def test_what_is_there_is_kept_unless_it_may_be_replaced(run: Path, copy: Path) -> None:
    before = pictures(copy)
    assert ganforge("export", f"run={run}", f"output={copy}") == 2
    assert pictures(copy) == before
    assert ganforge("export", f"run={run}", f"output={copy}", "overwrite=true") == 0
    after = pictures(copy)
    assert after["README.md"] != before["README.md"]  # no licence this time
    assert after["model.safetensors"] == before["model.safetensors"]


def test_a_folder_of_other_things_is_never_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert ganforge("export", f"run={run}", f"output={tmp_path}", "overwrite=true") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_export_that_fails_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise UserError("no card")

    monkeypatch.setattr("ganforge.sharing.export.model_card", fail)
    assert ganforge("export", f"run={run}", f"output={tmp_path / 'b'}") == 2
    assert not list(tmp_path.iterdir())


def test_a_model_of_the_users_own_is_no_bundle(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(run, tmp_path / "run")
    path = other / ".hydra" / "config.yaml"
    path.write_text(path.read_text().replace("ganforge.networks.dcgan.DCGANG", "mine.DCGANG"))
    assert ganforge("export", f"run={other}", f"output={tmp_path / 'b'}") == 2
    assert not (tmp_path / "b").exists()


# What a bundle from anywhere may not do.

EVIL = [
    "os.system", "builtins.eval", "subprocess.run", "torch.load", "torch.hub.load",
    "torch.utils.cpp_extension.load", "torch.utils.data.DataLoader", "torch.jit.load",
    "torch.serialization.load", "torch.nn.Module.__init__", "torch.nn.modules.module.Module",
    "torch.nn.functional.relu", "torch.nn.os.system", "torch.nn.init.normal_", "torch.nn.F",
    "torch.nn.parallel.DataParallel", "torch.nn.DataParallel", "torch.nn.",
    "torchvision.io.read_file",
    "torchvision.models.resnet18", "ganforge.cli.main", "ganforge.training.fit.train",
    "ganforge.data.store.shutil.rmtree", "ganforge.data.store.Path",
    "ganforge.data.cifar10.tarfile",
    "ganforge.data.store.Store", "ganforge.utils.files.write_json", "ganforge.networks.dcgan.nn",
    "ganforge.networks.nowhere.Thing", "ganforge.networks.dcgan.Nothing", "hydra.utils.get_method",
    "hydra.utils.call", "ganforge.networks", "ganforge", "", "torch.nn.Identity ",
    "mine.Generator", 7, None, ["os.system"], {"_target_": "os.system"},
]  # fmt: skip


@pytest.mark.parametrize("target", EVIL, ids=repr)
@pytest.mark.parametrize("place", ["model", "model.generator", "data.source", "features", "deep"])
def test_other_targets_are_refused(target: object, place: str) -> None:
    node = {"_target_": target, "command": "touch executed"}
    config = {
        "model": {"model": node, "model.generator": {"generator": node},
                  "deep": {"hidden": [[{"a": {"b": node}}]]}}.get(place, {}),
        "data": {"source": node} if place == "data.source" else {},
        "features": node if place == "features" else None,
    }  # fmt: skip
    with pytest.raises(UserError, match=r"not to be trusted: its entry .*_target_"):
        refuse_untrusted(config, "x")


@pytest.mark.parametrize(
    "entry",
    [
        {"seed": "${oc.env:HOME}"}, {"seed": "a${.b}"}, {"seed": "???"}, {"path": "a.zip"},
        {"folder": "x"}, {"download_dir": "x"}, {"data_dir": "x"}, {"weights": "/etc/passwd"},
        {"weights": "../x.safetensors"}, {"weights": "~/x"}, {"weights": "C:/x"},
        {"weights": "a\\b"}, {"name": "a\nb"}, {"name": "x" * 1001}, {"lr": float("nan")},
        {"lr": float("inf")}, {"_args_": ["x"]}, {"_recursive_": False}, {"_convert_": "all"},
        {"_partial_": "os.system"}, {"__class__": 1}, {"a.b": 1}, {"": 1}, {"x": (1,)},
    ],
    ids=repr,
)  # fmt: skip
def test_other_entries_are_refused(entry: dict[str, object]) -> None:
    with pytest.raises(UserError, match="not to be trusted"):
        refuse_untrusted({"model": {"generator": entry}}, "x")


def test_a_section_must_be_settings_and_not_too_deep() -> None:
    with pytest.raises(UserError, match="no group of settings"):
        refuse_untrusted({"data": "os.system"}, "x")
    deep: dict[str, object] = {}
    for _ in range(40):
        deep = {"a": deep}
    with pytest.raises(UserError, match="levels deep"):
        refuse_untrusted({"model": deep}, "x")


@pytest.mark.parametrize("section", ["model", "data", "features"])
def test_a_malicious_bundle_does_nothing(
    section: str, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Neither a class beside the bundle nor a command is reached, whatever the command is."""
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("open('imported', 'w').close()\n")
    for target in ("mine.Generator", "os.system"):
        facts = json.loads((copy / "config.json").read_text())
        facts[section]["generator"] = {"_target_": target, "command": "touch executed"}
        (copy / "config.json").write_text(json.dumps(facts))
        for command in ("generate", "evaluate", "explore", "translate input=. output=out"):
            name, *more = command.split()
            assert ganforge(name, f"run={copy}", *more) == 2
            assert "not to be trusted" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"mine.py", "copy"}


def test_what_configurations_of_ours_name_can_be_found() -> None:
    for target in (
        "ganforge.networks.dcgan.DCGANGenerator", "torch.nn.Tanh", "torch.nn.InstanceNorm2d",
        "torch.nn.utils.parametrizations.spectral_norm", "ganforge.data.module.ImageDataModule",
        "ganforge.data.avatars.Avatars", "ganforge.metrics.cnn.CNNFeatures",
    ):  # fmt: skip
        assert find_class(target) is not None, target


# Damage.


def test_a_changed_byte_of_the_weights_is_found(copy: Path) -> None:
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-5] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    with pytest.raises(DamagedFileError, match="its hash is not the one"):
        read_bundle(copy)


def test_a_size_that_no_memory_holds_is_refused_before_it_is_made(copy: Path) -> None:
    model = json.loads((copy / "config.json").read_text())["model"]
    edit(copy, model=model | {"generator": model["generator"] | {"width": 1 << 24}})
    with pytest.raises(DamagedFileError, match="do not fit the model"):
        load_bundle(copy)


def test_a_bundle_of_the_future_says_so(copy: Path) -> None:
    edit(copy, version=2)
    with pytest.raises(UserError, match="update ganforge"):
        read_bundle(copy)


def test_the_run_itself_is_unchanged_by_its_bundle(run: Path, bundle: Path) -> None:
    ours, theirs = load_run(run, device="cpu"), load_run(bundle, device="cpu")
    for key, tensor in theirs.module.state_dict().items():
        assert torch.equal(tensor, ours.module.state_dict()[key])
    assert (ours.step, ours.ema) == (theirs.step, theirs.ema)
