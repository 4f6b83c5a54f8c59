import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from ganforge.trained.tiles import ramp, starts, translate_tiled
from ganforge.trained.translate import written_names
from ganforge.training.fit import train
from ganforge.utils.images import save_image
from helpers import composed, ganforge

TINY = [
    "debug=fast",
    "logger=[]",
    "trainer.accelerator=cpu",
    "callbacks.translation_grid.rows=2",
]
TINY_DOMAINS = [
    "data.size=32",
    "data.batch_size=2",
    "data.a.train_count=8",
    "data.a.test_count=6",
    "data.a.workers=1",
]


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def trained(overrides, folder, data_dir):
    config = composed("train", [*overrides, *TINY], folder, data_dir)
    train(config)
    (folder / ".hydra").mkdir()
    from omegaconf import OmegaConf

    config.name, config.paths.output_dir = "tiny", str(folder)
    OmegaConf.save(config, folder / ".hydra" / "config.yaml")
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory, data_dir):
    """A CycleGAN of two steps, from glasses off to on."""
    small = ["model.a_to_b.width=4", "model.a_to_b.blocks=1", "model.critic_a.width=4"]
    overrides = ["experiment=cyclegan_avatars", *TINY_DOMAINS, *small, "model.critic_a.layers=1"]
    return trained(overrides, tmp_path_factory.mktemp("run"), data_dir)


@pytest.fixture(scope="session")
def pix2pix_run(tmp_path_factory, data_dir):
    """A pix2pix of two steps, from grey faces to coloured ones."""
    overrides = [
        "model=pix2pix", "data=colorize", "data@dataset=avatars", "data.size=32",
        "data.batch_size=4", "dataset.source.train_count=16", "dataset.source.test_count=8",
        "dataset.source.workers=1", "model.generator.width=4", "model.generator.downsamplings=3",
        "model.discriminator.width=4", "model.discriminator.layers=1",
    ]  # fmt: skip
    return trained(overrides, tmp_path_factory.mktemp("pix2pix"), data_dir)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)

    def noise(*shape):
        return Image.fromarray(rng.integers(256, size=shape).astype(np.uint8))

    root = tmp_path / "in"
    (root / "deep").mkdir(parents=True)
    noise(33, 50, 3).save(root / "odd.png")
    noise(40, 40).save(root / "deep" / "grey.jpg")
    noise(20, 60, 4).save(root / "alpha.webp", lossless=True)
    noise(2, 3, 3).save(root / "tiny.gif")
    rotated = noise(30, 60, 3)
    rotated.getexif()[0x0112] = 6
    rotated.save(root / "turned.jpg", exif=rotated.getexif())
    return root


def test_every_image_keeps_its_name_and_size(run, folder, tmp_path):
    out = tmp_path / "out"
    assert ganforge("translate", f"run={run}", f"input={folder}", f"output={out}") == 0
    files = {p.relative_to(out).as_posix(): Image.open(p).size for p in out.rglob("*.*")}
    assert files == {
        "odd.png": (50, 33),
        "deep/grey.jpg": (40, 40),
        "alpha.webp": (60, 20),
        "tiny.gif.png": (3, 2),
        "turned.jpg": (30, 60),
    }


def test_unreadable_images_are_reported_and_the_rest_is_kept(run, folder, tmp_path, capsys):
    (folder / "broken.png").write_bytes((folder / "odd.png").read_bytes()[:500])
    (folder / "text.jpg").write_text("not an image")
    out = tmp_path / "out"
    assert ganforge("translate", f"run={run}", f"input={folder}", f"output={out}") == 0
    said = capsys.readouterr()
    assert "5 of 7 images translated" in said.out
    assert "skipped: broken.png" in said.err
    assert "skipped: text.jpg (not an image that Pillow knows)" in said.err
    assert len(list(out.rglob("*.*"))) == 5


def test_one_file_the_other_way(run, folder, tmp_path):
    outputs = []
    for way in ("a_to_b", "b_to_a"):
        arguments = [f"run={run}", f"input={folder}/odd.png", f"output={tmp_path}/{way}"]
        assert ganforge("translate", *arguments, f"direction={way}") == 0
        outputs.append(np.asarray(Image.open(tmp_path / way / "odd.png")))
    assert (outputs[0] != outputs[1]).any()


def test_the_averaged_weights_translate(run, folder, tmp_path):
    """What the command writes is what the averaged generator makes of the file."""
    from ganforge.trained.load import load_run

    ganforge("translate", f"run={run}", f"input={folder}/odd.png", f"output={tmp_path}")
    loaded = load_run(run, "last", "cpu")
    assert loaded.ema
    image = torch.from_numpy(np.array(Image.open(folder / "odd.png"))).permute(2, 0, 1)
    expected = loaded.module.translate(image[None], "a_to_b")[0].permute(1, 2, 0)
    assert_close(torch.from_numpy(np.array(Image.open(tmp_path / "odd.png"))), expected)


def test_grey_to_colour(pix2pix_run, folder, tmp_path):
    out = tmp_path / "out"
    assert ganforge("translate", f"run={pix2pix_run}", f"input={folder}", f"output={out}") == 0
    assert Image.open(out / "deep" / "grey.jpg").mode == "RGB"
    assert Image.open(out / "odd.png").size == (50, 33)


def test_all_pages_and_frames_are_translated(run, tmp_path, capsys):
    root, out = tmp_path / "in", tmp_path / "out"
    root.mkdir()
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(256, size=(24, 24, 3), dtype=np.uint8)) for _ in "abc"]
    for name, options in {
        "stack.tif": {},
        "moving.gif": {"duration": [100, 200, 300]},
        "moving.webp": {"duration": [100, 200, 300], "lossless": True},
        "moving.png": {"duration": [100, 200, 300]},
    }.items():
        frames[0].save(root / name, save_all=True, append_images=frames[1:], **options)
    (root / "named.jpg").write_bytes((root / "moving.gif").read_bytes())
    frames[1].save(root / "one.png")
    assert ganforge("translate", f"run={run}", f"input={root}", f"output={out}") == 0
    counts, times = {}, {}
    for path in out.iterdir():
        with Image.open(path) as image:
            counts[path.name] = image.n_frames
            times[path.name] = [_duration(image, n) for n in range(image.n_frames)]
            image.seek(min(1, image.n_frames - 1))
            second = np.asarray(image.convert("RGB"))
        if path.suffix in (".tif", ".png") and path.name not in ("moving.gif.png", "named.jpg.png"):
            assert (second == np.asarray(Image.open(out / "one.png"))).all(), path.name
    assert counts == {
        "stack.tif": 3, "moving.gif.png": 3, "moving.webp": 3, "moving.png": 3,
        "named.jpg.png": 3, "one.png": 1,
    }  # fmt: skip
    assert times["moving.png"] == times["moving.gif.png"] == times["moving.webp"]
    assert times["moving.png"] == [100, 200, 300]
    said = capsys.readouterr().err
    assert "stack.tif 3 in stack.tif" in said
    assert "moving.gif 3 in moving.gif.png" in said


def _duration(image, frame):
    image.seek(frame)
    image.load()
    return image.info.get("duration")


def test_deep_images_are_translated_with_one_range(run, tmp_path, capsys):
    root = tmp_path / "in"
    root.mkdir()
    for level in (1000, 4000):
        Image.fromarray(np.full((16, 16), level, np.uint16)).save(root / f"{level}.png")
        grey = np.full((16, 16, 3), round(level * 255 / 4095), np.uint8)
        Image.fromarray(grey).save(root / f"grey{level}.png")
    out = tmp_path / "out"
    assert ganforge("translate", f"run={run}", f"input={root}", f"output={out}") == 0
    for level in (1000, 4000):
        deep, grey = (np.asarray(Image.open(out / f"{n}{level}.png")) for n in ("", "grey"))
        assert (deep == grey).all()
    assert "are read as 0 (black) to 4095 (white); value_range=" in capsys.readouterr().err
    Image.fromarray(np.full((16, 16), -5, np.int32)).save(root / "x.tif")
    arguments = [f"run={run}", f"input={root}/x.tif", f"output={out}"]
    assert ganforge("translate", *arguments) == 2
    assert "value_range=[BLACK,WHITE]" in capsys.readouterr().err
    assert ganforge("translate", *arguments, "value_range=[-5,10]") == 0


def test_what_is_left_out_of_a_translation_is_said(run, folder, tmp_path, capsys):
    (folder / "notes.raw").write_bytes(b"x")
    assert ganforge("translate", f"run={run}", f"input={folder}", f"output={tmp_path}/out") == 0
    assert "1 files that are not read as images (1 .raw)" in " ".join(
        capsys.readouterr().err.split()
    )


@pytest.mark.parametrize(
    ("arguments", "sentence", "code"),
    [
        (["direction=b_to_c"], "use a_to_b or b_to_a", 2),
        (["input={folder}/none"], "neither an image file nor a folder", 2),
        (["output={folder}"], "choose another folder", 2),
        (["output={folder}/odd.png"], "is a file: choose a folder", 2),
        (["tile=64", "overlap=32"], "four overlaps wide", 2),
        (["run={folder}"], "is not a run", 2),
        (["input={folder}/text.png"], "none of 1 files", 3),
    ],
)
def test_mistakes_are_one_sentence(arguments, sentence, code, run, folder, tmp_path, capsys):
    (folder / "text.png").write_text("no image")
    given = {"run": run, "input": folder, "output": tmp_path / "out"}
    given |= dict(argument.format(folder=folder).split("=") for argument in arguments)
    assert ganforge("translate", *(f"{k}={v}" for k, v in given.items())) == code
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


def test_a_direction_that_was_not_learned(pix2pix_run, folder, tmp_path, capsys):
    arguments = [f"run={pix2pix_run}", f"input={folder}", f"output={tmp_path}/out"]
    assert ganforge("translate", *arguments, "direction=b_to_a") == 2
    assert "use a_to_b" in capsys.readouterr().err


def evaluated(run, folder, *arguments):
    """The records of an evaluation."""
    output = folder / "translation.json"
    assert ganforge("evaluate", f"run={run}", f"output={output}", *arguments) == 0
    return json.loads(output.read_text())


def test_evaluation_goes_both_ways(run, tmp_path, capsys):
    records = evaluated(run, tmp_path, "n=6", "metrics=basic")
    pixels = {"l1_", "l1_changed", "l1_unchanged", "psnr", "psnr_pooled", "ssim", "cycle_l1_"}
    names = [r["name"] for r in records]
    assert len(names) == len(set(names))
    for way in ("a_to_b", "b_to_a"):
        mine = [r for r in records if r["protocol"]["direction"] == way]
        assert {r["metric"] for r in mine} - {"lpips"} == {"fid", "kid", *pixels}
        tied = {"fid", "kid"}  # the test people are the same on both sides
        for record in mine:
            metric = record["metric"] + "_tied" * (record["metric"] in tied)
            assert record["name"] == f"{metric}6_test_{way}"
    l1 = next(r for r in records if r["metric"] == "l1_changed")
    assert l1["details"]["untouched_input"] > 0
    assert l1["details"]["untouched_input"] != l1["value"]
    assert {r["run"] for r in records} == {run.name}
    assert {r["protocol"]["checkpoint"] for r in records} == {"last"}
    said = capsys.readouterr().out
    assert "LPIPS is left out" in said or "lpips" in said
    assert said.count("untouched input") == 2
    assert said.count("95 % interval") == 2


@pytest.mark.parametrize(
    ("fixture", "count", "metric", "ways"),
    [("run", 6, "fid", ["a_to_b", "b_to_a"]), ("pix2pix_run", 8, "l1_", ["a_to_b"])],
)
def test_training_ends_with_the_score_that_evaluation_finds(
    fixture, count, metric, ways, tmp_path, request
):
    """A sweep ranks translators by the mean over directions."""
    run = request.getfixturevalue(fixture)
    outcome = json.loads((run / "outcome.json").read_text())
    values = [
        r["value"]
        for r in evaluated(run, tmp_path, f"n={count}", "metrics=basic")
        if r["metric"] == metric
    ]
    assert len(values) == len(ways)
    assert outcome["value"] == pytest.approx(np.mean(values), rel=1e-4)
    way = "both" if len(ways) > 1 else ways[0]
    name = f"{metric}_tied" if metric == "fid" else metric  # the test people are the same
    assert outcome["objective"] == f"{name}{count}_test_{way}"
    assert outcome["protocol"]["direction"] == way
    assert not (run / "checkpoints" / "best.ckpt").exists()


def test_translators_are_ranked_by_their_translations(run, tmp_path, capsys):
    """A run that makes worse pictures is behind, though its untouched input is everyone's."""
    runs = [tmp_path / "good", tmp_path / "worse"]
    for folder, value in zip(runs, (0.1, 0.9), strict=True):
        shutil.copytree(run, folder, ignore=shutil.ignore_patterns("evaluations"))
        assert ganforge("evaluate", f"run={folder}", "n=6", "metrics=basic") == 0
        (path,) = (folder / "evaluations").glob("fid_tied6_test_a_to_b_*.json")
        records = json.loads(path.read_text())
        for record in records:
            record["value"] = value if record["metric"] == "l1_" else record["value"]
        path.write_text(json.dumps(records))
    config = runs[1] / ".hydra" / "config.yaml"
    config.write_text(config.read_text().replace("lambda_cycle: 10", "lambda_cycle: 11"))
    capsys.readouterr()
    assert ganforge("compare", *map(str, runs), "metric=l1_6_test_b_to_a") == 0
    lines = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    places = {line[1].strip(): (line[2].strip(), line[4].strip()) for line in lines[::-1]}
    assert (places["1"], places["2"]) == (("good", "0.1"), ("worse", "0.9"))
    assert ganforge("compare", *map(str, runs), "metric=fid") == 0
    assert "fid_tied6_test_a_to_b" in capsys.readouterr().out


def test_a_choice_of_metrics_and_split_is_honoured(run, tmp_path):
    records = evaluated(run, tmp_path, "n=6", "metrics=basic", "~metrics.kid", "split=train")
    assert [r["metric"] for r in records if r["protocol"]["extractor"] != "pixels"] == ["fid"] * 2
    assert {r["protocol"]["split"] for r in records} == {"train"}


@pytest.mark.parametrize(
    "key", ["size=64", "channels=1", "held_out=avatars:test", "classifier=cas"]
)
def test_what_a_translator_has_no_use_for_is_refused(key, run, capsys):
    assert ganforge("evaluate", f"run={run}", key) == 2
    assert f"{key.split('=')[0]} has no use with {run}" in capsys.readouterr().err


def test_evaluation_without_features_leaves_fid_out(pix2pix_run, tmp_path, capsys):
    metrics = [r["metric"] for r in evaluated(pix2pix_run, tmp_path, "n=8")]
    assert "FID and KID are left out" in capsys.readouterr().out
    assert "psnr" in metrics
    assert "fid" not in metrics
    assert "cycle_l1_" not in metrics


def test_training_leaves_pictures_and_gifs(run, pix2pix_run):
    samples = {path.name for path in (run / "samples").iterdir()}
    for way in ("a_to_b", "b_to_a"):
        assert {f"{way}_000000.png", f"{way}_000002.png", f"{way}.gif"} <= samples
    width, height = Image.open(run / "samples" / "a_to_b_000002.png").size
    assert width > height  # four columns, two rows
    assert (pix2pix_run / "samples" / "a_to_b.gif").is_file()


# Pieces


@pytest.mark.parametrize(("height", "width"), [(100, 100), (101, 37), (30, 250), (64, 64)])
def test_pieces_of_the_same_are_the_same(height, width):
    images = torch.randint(256, (1, 3, height, width)).byte()
    shapes = []

    def same(part):
        shapes.append(part.shape[-2:])
        return part

    assert_close(translate_tiled(same, images, 48, 12), images, rtol=0, atol=0)
    assert all(max(shape) <= 48 for shape in shapes)


def test_neighbours_fade_into_each_other():
    """Pieces that disagree by 100 levels meet without a step of more than one share."""
    levels = iter((50, 150))

    def constant(part):
        return torch.full_like(part, next(levels))

    out = translate_tiled(constant, torch.zeros(1, 1, 40, 70).byte(), 40, 10)
    row = out[0, 0, 20].int()
    assert row[0] == 50
    assert row[-1] == 150
    assert row.diff().min() >= 0
    assert row.diff().max() <= 100 / 10 + 1


@pytest.mark.parametrize("length", [40, 41, 69, 70, 71, 500])
def test_pieces_cover_all_and_share_enough(length):
    begins = starts(length, 40, 10)
    assert begins[0] == 0
    assert begins[-1] + 40 >= length
    assert all(b - a <= 30 for a, b in pairwise(begins))
    assert ramp(40, 10).min() > 0


def test_names_are_kept_and_no_two_are_alike():
    names = ["a.png", "b/c.JPG", "d.gif", "d.gif.png", "e", "sub/d.gif"]
    written = ["a.png", "b/c.JPG", "d.gif.png.png", "d.gif.png", "e.png", "sub/d.gif.png"]
    assert written_names(names) == dict(zip(names, written, strict=True))


def test_what_was_written_is_no_input(run, folder, capsys):
    for _ in range(2):
        arguments = [f"run={run}", f"input={folder}", f"output={folder}/deep/out"]
        assert ganforge("translate", *arguments) == 0
        assert "5 of 5 images translated" in capsys.readouterr().out
    (folder / "deep" / "grey.jpg").unlink()
    arguments = [f"run={run}", f"input={folder}/deep", f"output={folder}/deep/out"]
    assert ganforge("translate", *arguments) == 2
    assert "choose another folder" in capsys.readouterr().err


def test_a_jpeg_loses_little(tmp_path):
    """At Pillow's own quality of 75 noise is 7 levels off."""
    noise = np.random.default_rng(0).integers(256, size=(64, 64)).astype(np.uint8)
    save_image(torch.from_numpy(noise)[None], tmp_path / "noise.jpg")
    read = np.asarray(Image.open(tmp_path / "noise.jpg")).astype(int)
    assert np.abs(read - noise).mean() < 3
