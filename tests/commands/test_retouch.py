import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.data.faces import Landmarks
from ganforge.data.film import open_film
from ganforge.data.people import Person, random_pose
from ganforge.retouch.marks import is_marked
from ganforge.retouch.work import Retoucher
from ganforge.trained.load import load_run
from ganforge.utils.errors import UserError
from helpers import ganforge, tiny_run

TINY_EYES = [
    "experiment=eyes_avatars", "debug=fast", "logger=[]", "trainer.accelerator=cpu",
    "data.source.train_count=12", "data.source.test_count=6", "data.source.workers=1",
    "data.batch_size=4", "model.generator.width=4", "model.discriminator.width=4",
    "callbacks.translation_grid.rows=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A generator of eyes after two steps."""
    return tiny_run(TINY_EYES, tmp_path_factory.mktemp("eyes") / "run")


def test_training_leaves_pictures_scores_and_what_to_do_next(run, tmp_path, capsys):
    assert (run / "samples" / "input_to_truth_000002.png").is_file()
    assert (run / "samples" / "input_to_truth.gif").is_file()
    scores = json.loads((run / "scores.json").read_text())
    assert [score["metric"] for score in scores] == ["region_l1_", "region_psnr"]
    assert scores[0]["protocol"]["n_real"] == 12
    tiny_run(TINY_EYES, tmp_path / "again")
    assert "retouch run=" in capsys.readouterr().out


def test_evaluation_shows_the_baselines_beside_the_model(run, tmp_path, capsys):
    output = tmp_path / "scores.json"
    assert ganforge("evaluate", f"run={run}", f"output={output}", "checkpoint=last") == 0
    records = {record["metric"]: record for record in json.loads(output.read_text())}
    assert set(records) == {"region_l1_", "region_psnr", "seam_ratio", "own_better"}
    beside = records["region_l1_"]["details"]
    names = {
        "generated",
        "of a stranger",
        "mean exemplar",
        "pasted, matched",
        "pasted",
        "untouched",
    }
    assert set(beside) == names
    assert len(set(beside.values())) == len(names)
    assert beside["generated"] == records["region_l1_"]["value"]
    # Training ended with the same measurement.
    trained = json.loads((run / "scores.json").read_text())[0]
    assert trained["value"] == pytest.approx(records["region_l1_"]["value"], rel=1e-5)
    assert 0 <= records["own_better"]["value"] <= 1
    assert "than a stranger's" in capsys.readouterr().out


def test_what_needs_another_model_is_refused(run, tmp_path, capsys):
    assert ganforge("evaluate", f"run={run}", "features=efficientnet_lite0") == 2
    assert "features has no use" in capsys.readouterr().err
    given = [f"run={run}", f"input={tmp_path}/a.png", f"output={tmp_path}/out"]
    (tmp_path / "a.png").write_bytes(b"")
    assert ganforge("translate", *given) == 2
    assert "ganforge retouch" in capsys.readouterr().err


def test_a_bundle_retouches_like_its_run(run, album, tmp_path):
    bundle = tmp_path / "bundle"
    assert ganforge("export", f"run={run}", f"output={bundle}", "checkpoint=last") == 0
    card = (bundle / "README.md").read_text()
    assert "ganforge retouch" in card
    assert "people who agree" in card
    made = []
    for source in (run, bundle):
        assert retouched(source, album, tmp_path / source.name) == 0
        made.append(pixels(tmp_path / source.name / "closed.png"))
    assert (made[0] == made[1]).all()


# Photos


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Drawn people with closed eyes and open ones, and a table of where their eyes are."""
    root = tmp_path_factory.mktemp("album")
    table = ["file,left_x,left_y,right_x,right_y"]

    def add(name, *faces):
        (root / name).parent.mkdir(exist_ok=True)
        for _, pose, x in faces:
            (left, right), f = pose.eyes(160), "{:.2f}"
            numbers = [left[0] + x, left[1], right[0] + x, right[1]]
            table.append(",".join([name, *map(f.format, numbers)]))
        canvas = Image.new("RGB", (160 * len(faces), 160))
        for picture, _, x in faces:
            canvas.paste(picture, (x, 0))
        canvas.save(root / name)

    people = [Person("7"), Person("8")]
    poses = [random_pose(np.random.default_rng(i)) for i in range(2)]
    closed = [p.draw(pose, 160, 0.0) for p, pose in zip(people, poses, strict=True)]
    opened = [p.draw(pose, 160, 1.0) for p, pose in zip(people, poses[::-1], strict=True)]
    add("in/closed.png", (closed[0], poses[0], 0))
    add("in/group.png", *((closed[i], poses[i], 160 * i) for i in range(2)))
    add("in/closed.jpg", (closed[1], poses[1], 0))
    add("eyes/a.png", (opened[0], poses[1], 0))
    add("eyes/b.png", (opened[1], poses[0], 0))
    (root / "eyes.csv").write_text("\n".join(table))
    return root


def retouched(run, album, output, source="in/closed.png", exemplar="eyes/a.png", *more):
    given = {"run": run, "input": album / source, "exemplar": album / exemplar, "output": output}
    given |= {"landmarks": album / "eyes.csv", "judge": "null"}
    given |= dict(word.split("=", 1) for word in more)
    return ganforge("retouch", *(f"{key}={value}" for key, value in given.items()))


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_a_photo_changes_around_the_eyes_alone_and_says_so(run, album, tmp_path, capsys):
    assert retouched(run, album, tmp_path) == 0
    assert "1 of 1 photos retouched by step 2, marked as synthetic" in capsys.readouterr().out
    before, after = pixels(album / "in/closed.png"), pixels(tmp_path / "closed.png")
    rows, columns, _ = np.nonzero(before != after)
    pose = random_pose(np.random.default_rng(0))
    (lx, ly), (rx, ry) = pose.eyes(160)
    reach = 0.6 * np.hypot(rx - lx, ry - ly)
    assert min(lx, rx) - reach < columns.min() < columns.max() < max(lx, rx) + reach
    assert min(ly, ry) - reach < rows.min() < rows.max() < max(ly, ry) + reach
    assert is_marked(tmp_path / "closed.png")


def test_marks_can_be_left_out(run, album, tmp_path, capsys):
    assert retouched(run, album, tmp_path, "in/closed.jpg", "eyes/b.png", "marks=off") == 0
    assert "without a mark" in capsys.readouterr().out
    assert not is_marked(tmp_path / "closed.jpg")


def test_every_face_of_a_group_after_its_own_exemplar(run, album, tmp_path):
    """From the left, exemplars by name: the same as each face by itself."""
    assert retouched(run, album, tmp_path / "all", "in/group.png", "eyes", "face=all") == 0
    before, after = pixels(album / "in/group.png"), pixels(tmp_path / "all/group.png")
    for number, exemplar in enumerate(("eyes/a.png", "eyes/b.png"), start=1):
        out = tmp_path / str(number)
        assert retouched(run, album, out, "in/group.png", exemplar, f"face={number}") == 0
        single, half = pixels(out / "group.png"), slice(160 * (number - 1), 160 * number)
        assert (single[:, half] == after[:, half]).all()
        assert (single[:, half] != before[:, half]).any()
        single[:, half] = before[:, half]
        assert (single == before).all()


def test_a_folder_is_retouched_and_what_cannot_be_is_told(run, album, tmp_path, capsys):
    (album / "in" / "broken.png").write_bytes(b"no picture")
    try:
        assert retouched(run, album, tmp_path, "in", "eyes/a.png") == 0
    finally:
        (album / "in" / "broken.png").unlink()
    said = capsys.readouterr()
    assert "2 of 4 photos retouched" in said.out
    assert "broken.png cannot be read as a picture" in said.err
    assert "group.png shows 2 faces" in said.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["closed.jpg", "closed.png"]


def test_transparency_grey_and_turned_photos_stay_what_they_are(run, album, tmp_path):
    source = Image.open(album / "in/closed.png")
    clear = source.copy()
    clear.putalpha(Image.linear_gradient("L").resize(source.size))
    (tmp_path / "in").mkdir()
    clear.save(tmp_path / "in/closed.png")
    assert retouched(run, album, tmp_path / "out", tmp_path / "in/closed.png") == 0
    made, plain = pixels(tmp_path / "out/closed.png"), np.asarray(clear).astype(int)
    assert made.shape == (160, 160, 4)
    assert (made[..., 3] == plain[..., 3]).all()
    assert (made[0] == plain[0]).all()
    exif = source.getexif()
    exif[0x0112] = 6  # shown turned by a quarter to the right
    source.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "t.png", exif=exif)
    table = (album / "eyes.csv").read_text() + "\nt.png," + first_eyes(album)
    (tmp_path / "t.csv").write_text(table)
    landmarks = f"landmarks={tmp_path}/t.csv"
    assert retouched(run, album, tmp_path / "out", tmp_path / "t.png", "eyes/a.png", landmarks) == 0
    assert (pixels(tmp_path / "out/t.png") == made[..., :3]).all()


def first_eyes(album):
    line = (album / "eyes.csv").read_text().splitlines()[1]
    return line.split(",", 1)[1]


def test_an_exemplar_with_closed_eyes_is_refused(run, album, tmp_path):
    class Sceptic:
        def chance(self, windows, anchors):
            assert windows.shape == (1, 3, 32, 64)
            return torch.tensor([0.1])

    finder = Landmarks(album / "eyes.csv")
    retoucher = Retoucher(load_run(run, "last", "cpu").module, finder, Sceptic())
    with pytest.raises(UserError, match="look closed"):
        retoucher.photos(album / "in/closed.png", album / "eyes/a.png", tmp_path)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["input={album}/in/group.png"], "shows 2 faces (1: ["),
        (["input={album}/in/group.png", "face=3"], "face=3, but group.png shows 2 faces"),
        (["input={album}/in/group.png", "exemplar={album}/eyes", "face=1"], "2 exemplars for 1"),
        (["face=0"], "counted from the left"),
        (["face=both"], "choose largest, all"),
        (["exemplar_face=all"], "an exemplar shows one person"),
        (["exemplar={album}/in/group.png"], "exemplar_face=1"),
        (["exemplar={album}/none.png"], "neither a photo nor a folder"),
        (["input={album}/none.png"], "neither a photo nor a folder"),
        (["input={album}/in", "exemplar={album}/eyes"], "no photo named like"),
        (["landmarks={album}/none.csv"], "cannot be read"),
        (["marks=maybe"], "choose on or off"),
        (["output={album}/in"], "choose another folder"),
        (["output={album}/eyes.csv"], "is a file"),
        (["line=closed.png,50,60,60,60"], "its eyes are 10 pixels apart"),
        (["line=closed.png,5,60,65,60"], "beyond the picture"),
        (["line=a.png,50,60,60,60"], "its eyes are 10 pixels apart"),
    ],
)
def test_mistakes_are_one_sentence(words, sentence, run, album, tmp_path, capsys):
    words = [word.format(album=album) for word in words]
    if words[0].startswith("line="):
        line = words[0].removeprefix("line=")
        kept = [
            row
            for row in (album / "eyes.csv").read_text().splitlines()
            if not row.split(",")[0].endswith(line.split(",")[0])
        ]
        (tmp_path / "other.csv").write_text("\n".join([*kept, line]))
        words = [f"landmarks={tmp_path}/other.csv"]
    assert retouched(run, album, tmp_path / "out", "in/closed.png", "eyes/a.png", *words) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_no_face_names_the_table(run, album, tmp_path, capsys):
    (tmp_path / "empty.csv").write_text("file,left_x,left_y,right_x,right_y\n")
    words = [f"landmarks={tmp_path}/empty.csv"]
    assert retouched(run, album, tmp_path / "out", "in/closed.png", "eyes/a.png", *words) == 2
    assert "landmarks=FILE.csv" in capsys.readouterr().err


def test_other_models_do_not_retouch(album, tmp_path, capsys):
    gan = tiny_run(["experiment=gaussian1d", "debug=fast", "logger=[]"], tmp_path / "gan")
    assert retouched(gan, album, tmp_path / "out") == 2
    assert "train one with model=region" in capsys.readouterr().err


# Mouths

TINY_MOUTHS = [
    "experiment=mouth_avatars", "debug=fast", "logger=[]", "trainer.accelerator=cpu",
    "data.source.train_count=8", "data.source.test_count=3", "data.source.sentences=2",
    "data.source.workers=1", "data.batch_size=4", "model.generator.width=4",
    "model.discriminator.width=4", "callbacks.translation_grid.rows=2",
]  # fmt: skip
needs_speech = pytest.mark.skipif(
    find_spec("espeakng_loader") is None or find_spec("imageio_ffmpeg") is None,
    reason="eSpeak NG or ffmpeg is not installed",
)


@pytest.fixture(scope="module")
def mouths(tmp_path_factory):
    """A generator of mouths after two steps."""
    return tiny_run(TINY_MOUTHS, tmp_path_factory.mktemp("mouths") / "run")


@needs_speech
def test_evaluation_reads_lips(mouths, tmp_path, capsys):
    output = tmp_path / "scores.json"
    assert ganforge("evaluate", f"run={mouths}", f"output={output}", "checkpoint=last") == 0
    metrics = {record["metric"] for record in json.loads(output.read_text())}
    assert {"region_l1_", "own_better", "lips_classes_known_", "lips_shut_new_"} <= metrics
    said = capsys.readouterr().out
    assert "true frames, known" in said
    assert "own sound nearer to the truth" in said
    assert "3 frames late, new voice: +3 frames behind the sound in" in said


@needs_speech
def test_words_become_a_film(mouths, album, tmp_path, capsys):
    words = ["say=hello there", "exemplar=null", "lossless=true"]
    assert retouched(mouths, album, tmp_path, "eyes/a.png", "eyes/a.png", *words) == 0
    assert "1 film retouched by step 2, marked as synthetic" in capsys.readouterr().out
    frames = [np.asarray(frame) for frame in open_film(tmp_path / "a.mkv").frames()]
    assert 10 < len(frames) < 60
    before = np.asarray(Image.open(album / "eyes/a.png"))
    changed = np.stack([(frame != before).any(2) for frame in frames])
    assert 0.01 < changed.mean() < 0.3
    assert not changed[:, : int(random_pose(np.random.default_rng(1)).eyes(160)[0][1])].any()


@needs_speech
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["exemplar=null"], "moves a mouth to a sound"),
        (["say=hello", "sound={album}/a.wav"], "moves a mouth to a sound"),
        (["sound={album}/none.wav"], "is no file"),
        (["say=hello", "face=all"], "one mouth"),
        (["say=hello", "input={album}/in"], "neither a film nor a photo"),
        (["say=hello", "voice=nobody"], "no voice nobody"),
    ],
)
def test_what_a_mouth_cannot_say_is_one_sentence(words, sentence, mouths, album, tmp_path, capsys):
    words = [word.format(album=album) for word in words]
    assert retouched(mouths, album, tmp_path / "out", "eyes/a.png", "eyes/a.png", *words) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_of_eyes_needs_an_exemplar_and_hears_nothing(run, album, tmp_path, capsys):
    for words, sentence in (
        (["exemplar=null"], "exemplar=PHOTO"),
        (["say=hello"], "hears nothing"),
    ):
        assert retouched(run, album, tmp_path / "o", "in/closed.png", "eyes/a.png", *words) == 2
        assert sentence in capsys.readouterr().err
