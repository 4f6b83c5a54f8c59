import json
import shutil
import zipfile
from importlib.metadata import version

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from ganforge.config.build import build, with_features
from ganforge.metrics.cnn import CNNFeatures
from helpers import CONF, TINY, TINY_AVATARS, composed, ganforge, options

CNN = ["features=cnn", "features.weights=avatars"]


def draw(folder, count, seed=0, size=32, grey=False):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for index in range(count):
        shape = (size, size) if grey else (size, size, 3)
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:03d}.png")
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "data"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two tiny runs that differ in the seed alone; tests copy what they change."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        run = [f"hydra.run.dir={folder}/run{seed}", f"seed={seed}", "logger=[]"]
        assert ganforge("train", *TINY, *TINY_AVATARS, *run, f"paths.data_dir={folder}/data") == 0
    return folder


def evaluated(*arguments):
    assert ganforge("evaluate", *CNN, *arguments, "output=scores.json") == 0
    with open("scores.json") as file:
        return {record["metric"]: record for record in json.load(file)}


def test_folder_against_folder_and_the_same_in_a_zip(tmp_path, capsys):
    real, fake = draw(tmp_path / "real", 24), draw(tmp_path / "fake", 30, seed=1)
    scores = evaluated(f"real={real}", f"fake={fake}")
    assert set(scores) == {"fid", "kid", "is", "fid_inf", "precision", "recall", "density",
                           "coverage"}  # fmt: skip
    protocol = scores["fid"]["protocol"]
    assert (protocol["n_fake"], protocol["n_real"], protocol["split"]) == (30, 24, "real")
    assert protocol["ema"] is None
    assert scores["fid"]["run"] == str(fake)
    low, high = scores["fid"]["interval"]
    assert low < scores["fid"]["value"] < high
    assert "left out: memorisation" in capsys.readouterr().out
    with zipfile.ZipFile("fake.zip", "w") as archive:
        for path in sorted(fake.iterdir()):
            archive.write(path, path.name)
    zipped = evaluated(f"real={real}", "fake=fake.zip")
    assert {k: s["value"] for k, s in zipped.items()} == {k: s["value"] for k, s in scores.items()}


def test_a_set_against_itself_and_its_copies(tmp_path):
    real = draw(tmp_path / "real", 24)
    held_out = draw(tmp_path / "held_out", 12, seed=2)
    scores = evaluated(f"real={real}", f"fake={real}", f"held_out={held_out}")
    assert scores["fid"]["value"] == pytest.approx(0, abs=1e-4)
    assert scores["precision"]["value"] == scores["recall"]["value"] == 1
    assert scores["memorisation"]["value"] == 1
    assert scores["memorisation"]["protocol"]["settings"]["n_held_out"] == 12


def test_many_sizes_are_read_as_they_are(tmp_path):
    real = draw(tmp_path / "real", 6)
    mixed = draw(tmp_path / "mixed", 4, size=48)
    (mixed / "a.png").write_bytes((real / "000.png").read_bytes())
    scores = evaluated(f"real={real}", f"fake={mixed}", "metrics=basic", "~metrics.is")
    extractor = CNNFeatures("avatars")
    both = [torch.from_numpy(np.array(Image.open(p)).transpose(2, 0, 1))[None]
            for p in sorted(mixed.iterdir())]  # fmt: skip
    features = torch.cat([extractor(image).features for image in both])
    assert scores["fid"]["protocol"]["n_fake"] == len(features) == 5
    at_16 = evaluated(f"real={real}", f"fake={mixed}", "size=16", "metrics=basic", "~metrics.is")
    assert at_16["fid"]["value"] != pytest.approx(scores["fid"]["value"], rel=1e-3)
    assert at_16["fid"]["protocol"]["data_hash"].endswith("at 16")


def test_content_decides_not_time_nor_name_of_the_folder(tmp_path):
    fake = draw(tmp_path / "fake", 6, seed=1)
    hashes = set()
    for name in ("a", "b"):
        draw(tmp_path / name / "photos", 5)
        scores = evaluated(f"real={name}/photos", f"fake={fake}", "metrics=basic", "~metrics.is")
        hashes.add(scores["fid"]["protocol"]["data_hash"])
    assert len(hashes) == 1
    Image.new("RGB", (32, 32)).save(tmp_path / "b" / "photos" / "000.png")
    scores = evaluated("real=b/photos", f"fake={fake}", "metrics=basic", "~metrics.is")
    assert scores["fid"]["protocol"]["data_hash"] not in hashes


def test_grey_against_colour_is_the_user_s_choice(tmp_path, capsys):
    real, fake = draw(tmp_path / "real", 5), draw(tmp_path / "fake", 5, grey=True)
    sides = [f"real={real}", f"fake={fake}", "metrics=basic", "~metrics.is"]
    assert ganforge("evaluate", *CNN, *sides) == 2
    assert "is grey and" in capsys.readouterr().err
    assert evaluated(*sides, "channels=1")["fid"]["value"] > 0
    assert ganforge("evaluate", *CNN, *sides, "channels=2") == 2


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["fake=fake"], 2, "real must be given"),
        (["real=real"], 2, "run must be given"),
        (["fake=empty", "real=real"], 2, "'empty' is empty"),
        (["fake=nowhere", "real=real"], 2, "neither a run, a bundle, a folder"),
        (["fake=fake", "real=ring2d:train"], 2, "points, not images"),
        (["fake=fake", "real=avatars:tset"], 2, "no split 'tset'"),
        (["fake=fake", "real=real", "n=1"], 2, "n=1 is too few"),
        (["fake=torn", "real=real"], 3, "torn' cannot be read: 000.png"),
    ],
)
def test_bad_input_is_one_sentence(arguments, code, told, tmp_path, capsys):
    draw(tmp_path / "real", 4)
    draw(tmp_path / "fake", 4)
    (tmp_path / "empty").mkdir()
    torn = draw(tmp_path / "torn", 2) / "000.png"
    torn.write_bytes(torn.read_bytes()[:200])
    small = ["paths.data_dir=data"] if "ring2d" not in " ".join(arguments) else []
    assert ganforge("evaluate", *CNN, *arguments, *small) == code
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("ganforge: ")
    assert told in error


def test_without_features_the_choices_are_named(tmp_path, capsys):
    real = draw(tmp_path / "real", 4)
    assert ganforge("evaluate", f"fake={real}", f"real={real}") == 2
    assert "features=efficientnet_lite0" in capsys.readouterr().err


def test_fewer_images_than_a_metric_needs_lose_nothing_else(tmp_path, capsys):
    real = draw(tmp_path / "real", 5)
    scores = evaluated(f"real={real}", f"fake={real}")
    assert set(scores) == {"fid", "kid", "precision", "recall"}
    out = capsys.readouterr().out
    assert "left out: the Inception Score needs at least 10 images" in out
    assert "left out: density and coverage needs at least 6 images" in out
    assert "5 images for 160 features" in out


def test_runs_are_scored_ranked_and_compared_with_folders(runs, tmp_path, capsys):
    """Everything measured on two runs, then one against the other."""
    for name in ("run0", "run1"):
        shutil.copytree(runs / name, tmp_path / name)
        assert ganforge("evaluate", f"run={name}", "n=20", "path_pairs=4") == 0
    written = list((tmp_path / "run0" / "evaluations").glob("*.json"))
    assert [path.name[:-14] for path in written] == ["fid20_train_cnn-avatars"]
    records = {r["metric"]: r for r in json.loads(written[0].read_text())}
    assert {"fid", "fid_inf", "memorisation", "ppl", "coverage"} <= set(records)
    assert "class_fid" not in records
    assert records["memorisation"]["protocol"]["settings"]["n_held_out"] == 16
    assert (records["fid"]["protocol"]["ema"], records["fid"]["run"]) == (True, "run0")
    capsys.readouterr()
    assert ganforge("compare", "run0", "run1") == 0
    assert "±" in capsys.readouterr().out
    scores = evaluated("fake=run0", "real=run1", "n=12")
    assert scores["fid"]["protocol"]["split"] == "run1"
    assert (scores["fid"]["protocol"]["n_real"], scores["fid"]["step"]) == (
        12,
        records["fid"]["step"],
    )


def test_no_evaluation_replaces_another(runs, tmp_path):
    """Another checkpoint, seed or choice of metrics is another file; the same again is the same."""
    shutil.copytree(runs / "run0", tmp_path / "run")
    quick = ["evaluate", "run=run", "n=12", "path_pairs=0", "metrics=basic", "~metrics.kid"]
    for arguments in ([], [], ["checkpoint=last"], ["seed=1"], ["~metrics.is"]):
        assert ganforge(*quick, *arguments) == 0
    files = list((tmp_path / "run" / "evaluations").glob("fid12_train_cnn-avatars_*.json"))
    assert len(files) == 4
    first = [json.loads(path.read_text())[0]["protocol"] for path in files]
    assert sorted(p["checkpoint"] for p in first) == ["best", "best", "best", "last"]
    assert {p["seed"] for p in first} == {1, 2020}


def test_held_out_images_are_taken_beside_a_run_and_told(runs, tmp_path):
    """Other held-out images, another protocol; the Inception Score tells the training data."""
    shutil.copytree(runs / "run0", tmp_path / "run")
    held_out = draw(tmp_path / "held_out", 7)
    quick = ["run=run", "n=12", "path_pairs=4", f"paths.data_dir={runs}/data"]
    own, other = (evaluated(*quick, *more) for more in ([], [f"held_out={held_out}"]))
    a, b = (scores["memorisation"]["protocol"]["settings"] for scores in (own, other))
    assert (a["n_training"], a["n_held_out"], b["n_held_out"]) == (32, 16, 7)
    assert a["training_hash"] == b["training_hash"] == own["fid"]["protocol"]["data_hash"]
    assert a["held_out_hash"] != b["held_out_hash"]
    for metric in ("is", "ppl"):
        settings = own[metric]["protocol"]["settings"]
        assert (settings["data"], settings["shape"]) == (a["training_hash"], "3×32×32")
    trained = json.loads((runs / "run0" / "scores.json").read_text())
    assert trained[0]["protocol"]["data_hash"] == a["training_hash"]


def test_an_extra_that_fails_loses_nothing(runs, tmp_path, monkeypatch, capsys):
    def breaks(*arguments):
        raise RuntimeError("out of memory\nat length")

    monkeypatch.setattr("ganforge.scoring.path_length.path_lengths", breaks)
    scores = evaluated(f"run={runs}/run0", "n=12", "metrics=basic", f"paths.data_dir={runs}/data")
    assert set(scores) == {"fid", "kid", "is"}
    told = "left out: path length failed (RuntimeError: out of memory)"
    assert told in capsys.readouterr().out


def copy_with_weights(run, copy, change):
    """Copy a run whose generators' weights are changed in place."""
    shutil.copytree(run, copy)
    (copy / "checkpoints" / "SHA256SUMS").unlink()
    for path in (copy / "checkpoints").glob("*.ckpt"):
        state = torch.load(path, weights_only=True)
        for weights in (state["state_dict"], state["callbacks"]["EMA"]["weights"]["generator"]):
            for name, tensor in weights.items():
                if name.endswith("weight"):
                    change(tensor)
        torch.save(state, path)


def test_a_diverged_generator_is_refused(runs, tmp_path, capsys):
    copy_with_weights(runs / "run0", tmp_path / "run", lambda t: t.fill_(float("nan")))
    assert ganforge("evaluate", "run=run", "n=4") == 2
    assert "the training diverged" in capsys.readouterr().err
    assert ganforge("generate", "run=run", "n=4") == 2
    assert "makes no images: its generator's" in capsys.readouterr().err
    assert not (tmp_path / "run" / "generated").exists()


def test_finite_weights_that_make_nan_are_refused(runs, tmp_path, capsys):
    """Weights near float's largest number: their products are infinite, and ∞ - ∞ is NaN."""

    def overflow(tensor):
        even = torch.arange(tensor.numel()).view(tensor.shape) % 2 == 0
        tensor.copy_(torch.where(even, 3e38, -3e38))

    copy_with_weights(runs / "run0", tmp_path / "run", overflow)
    for command in ("evaluate", "generate"):
        assert ganforge(command, "run=run", "n=4") == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert "run makes pixels that are NaN or infinity: the training diverged" in error[-1]
    assert not list((tmp_path / "run").glob("generated/*.png"))


def test_a_damaged_scan_is_made_again_and_said(tmp_path, capsys):
    real = draw(tmp_path / "real", 12)
    quick = [f"real={real}", f"fake={real}", "metrics=basic", "~metrics.is"]
    first = evaluated(*quick)
    (scan,) = (tmp_path / "data" / "statistics").glob("scan-*.json")
    whole = scan.read_text()
    scan.write_text(whole[:40])
    capsys.readouterr()
    again = evaluated(*quick)
    said = capsys.readouterr()
    assert f"{scan} was damaged" in said.out + said.err
    assert scan.read_text() == whole
    assert again["fid"]["protocol"] == first["fid"]["protocol"]


def test_records_name_the_libraries_that_computed_them(tmp_path):
    real = draw(tmp_path / "real", 12)
    libraries = evaluated(f"real={real}", f"fake={real}", "metrics=basic")["fid"]["libraries"]
    assert libraries["scipy"] == version("scipy")
    assert libraries["pillow"] == version("pillow")
    assert "timm" not in libraries


def test_a_conditional_run_is_scored_by_class(tmp_path, capsys):
    run = ["conditioning=projection", "hydra.run.dir=run", "logger=[]"]
    assert ganforge("train", *TINY, *TINY_AVATARS, *run) == 0
    scores = evaluated("run=run", "n=32", "path_pairs=4")
    details = scores["class_fid"]["details"]
    assert len(details) > 1
    assert scores["class_fid"]["value"] == pytest.approx(np.mean(list(details.values())))
    assert scores["ppl"]["value"] > 0  # each path within one class
    assert "perceptual path length" not in capsys.readouterr().out


def test_a_classifier_is_trained_on_what_a_conditional_run_makes(tmp_path, monkeypatch, capsys):
    run = ["conditioning=projection", "hydra.run.dir=run", "logger=[]"]
    data = ["data.source.train_count=128", "data.source.test_count=20"]
    assert ganforge("train", *TINY, *TINY_AVATARS, *data, *run) == 0
    cas = ["run=run", "metrics=basic", "classifier=cas", "classifier.epochs=1"]
    scores = evaluated(*cas, "n=128", "classifier.widths=[4]")
    told = scores["class_accuracy"]
    assert 0 <= told["interval"][0] <= told["value"] <= told["interval"][1] <= 1
    assert (told["value"] * 20) % 1 == pytest.approx(0, abs=1e-6)
    assert told["details"]["n_test"] == 20
    settings = told["protocol"]["settings"]
    assert (settings["epochs"], settings["widths"]) == (1, "[4]")
    assert settings["train_hash"] == scores["fid"]["protocol"]["data_hash"]
    assert told["protocol"]["n_fake"] == 128
    # What cannot be is said before anything is computed.
    monkeypatch.setattr("ganforge.metrics.scorer.extract", None)
    assert ganforge("evaluate", *CNN, *cas, "n=100") == 2
    assert "classification accuracy score needs at least 128 images" in capsys.readouterr().err


def test_an_accuracy_score_needs_a_conditional_model(tmp_path, capsys):
    real = draw(tmp_path / "real", 12)
    sides = [f"real={real}", f"fake={real}", "metrics=basic"]
    assert ganforge("evaluate", *CNN, *sides, "classifier=cas") == 2
    assert "classifier=cas needs a class-conditional model" in capsys.readouterr().err


def test_deep_images_of_a_folder_are_compared_by_one_range(tmp_path, capsys):
    values = np.random.default_rng(0).integers(0, 256, (5, 32, 32), dtype=np.uint8)
    deep = (values.astype(float) * 4095 / 255).round().astype(np.uint16)
    for name, images in {"grey": values, "deep": deep}.items():
        (tmp_path / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{i}.png")
    sides = ["real=grey", "fake=deep", "metrics=basic", "~metrics.is"]
    for _ in range(2):  # read, and remembered
        assert evaluated(*sides)["fid"]["value"] == pytest.approx(0, abs=1e-3)
        said = " ".join(capsys.readouterr().err.split())
        assert "are read as 0 (black) to 4095 (white); value_range=" in said
    assert evaluated(*sides, "value_range=[0,9999]")["fid"]["value"] > 0.01


def test_all_bad_files_of_a_folder_are_named(tmp_path, capsys):
    real = draw(tmp_path / "real", 6)
    for name in ("000.png", "003.png"):
        (real / name).write_bytes((real / name).read_bytes()[:200])
    assert ganforge("evaluate", *CNN, f"real={real}", f"fake={real}") == 3
    said = capsys.readouterr().err
    assert "2 images in" in said
    assert "000.png" in said
    assert "003.png" in said


FEATURES = options("features")
HERE = [name for name in FEATURES if name.startswith(("cnn", "efficientnet"))]  # no download


@pytest.fixture(scope="module")
def trained_with(tmp_path_factory):
    folder = tmp_path_factory.mktemp("composed")
    words = {name: [*TINY_AVATARS, f"features={name}"] for name in FEATURES}
    return {name: composed("train", words[name], folder, folder) for name in FEATURES}


@pytest.mark.parametrize("trained", FEATURES)
def test_chosen_features_replace_those_of_the_run(trained, trained_with):
    for chosen, own in trained_with.items():
        command = OmegaConf.create({"features": OmegaConf.load(CONF / f"features/{chosen}.yaml")})
        if "defaults" in command.features:  # of cnn: what it is, and whose weights
            command.features = OmegaConf.to_container(own.features, resolve=False)
        found = with_features(command, trained_with[trained])
        assert OmegaConf.to_container(found, resolve=True) == OmegaConf.to_container(
            own.features, resolve=True
        )
        if {trained, chosen} <= set(HERE):
            assert type(build(found)).__name__ == found["_target_"].rpartition(".")[2]


def test_other_features_than_those_of_a_run(runs, tmp_path):
    real = draw(tmp_path / "fake", 12)
    for words in ([f"run={runs}/run0", "n=8"], [f"fake={real}", f"real={runs}/run1", "n=8"]):
        words += [
            "features=efficientnet_lite0",
            f"paths.data_dir={runs}/data",
        ]
        assert ganforge("evaluate", *words, "output=scores.json") == 0
        with open("scores.json") as file:
            protocol = json.load(file)[0]["protocol"]
        assert protocol["extractor"].startswith("efficientnet")
