"""What a user sees who mistypes: one sentence, exit code 2, no stack trace."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge import __version__
from ganforge.config.help import about
from helpers import CONF, TINY, TINY_AVATARS, draw_pictures, ganforge


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The error: the last line, with at most progress bars before it."""
    *before, text = capsys.readouterr().err.strip().splitlines()
    assert text.startswith("ganforge: "), text
    assert all(line.startswith("rendering") for line in before), before
    return text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["trian", "did you mean train"]),
        (["fly"], ["fly", "train, evaluate"]),
        (["train", "data.sizee=32"], ["data.sizee", "did you mean 'data.size'"]),
        (["train", "modle=gan"], ["modle", "did you mean 'model'"]),
        (["train", "model=dcgam"], ["dcgam", "did you mean dcgan"]),
        (["train", "experiment=nothing_like_it"], ["nothing_like_it", "quickstart"]),
        (["train", "regularizer=[r1,r9]"], ["r9", "r1"]),
        (["train", "trainer.max_steps"], ["trainer.max_steps"]),
        (["train", "data.size=[32"], ["data.size=[32"]),
        (["train", "trainer.precision=16-mixed"], ["16-mixed", "bf16-mixed"]),
        (["train", "model.n_critic=0"], ["n_critic"]),
        (["train", "regularizer=gradient_penalty"], ["batch norm", "norm=spectral"]),
        (["train", "data.size=28"], ["28", "32, 64, 128", "model=gan"]),
        (["train", "data.batch_size=0"], ["batch_size"]),
        (["train", "data.batch_size=100000"], ["batch_size"]),
        (["train", "trainer.max_stepz=3"], ["max_stepz", "max_steps"]),
        (["train", "model.generator.wide=3", "+x=1"], ["model.generator.wide"]),
        (["train", "+model.generator.wide=3"], ["wide"]),
        (["evaluate"], ["run"]),
        (["generate", "run=nowhere"], ["nowhere", "not a run"]),
        (["evaluate", "run=.", "features=vgg"], ["vgg", "cnn"]),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "train":
        small = [item for item in TINY_AVATARS if item.split("=")[0] not in str(arguments)]
        arguments = ["train", *small, f"paths.data_dir={tmp_path}", *arguments[1:]]
    assert ganforge(*arguments) == 2
    text = said(capsys)
    for word in words:
        assert word in text, text


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert ganforge("--help") == 0
    assert "evaluate" in capsys.readouterr().out
    assert ganforge("--version") == 0
    assert __version__ in capsys.readouterr().out


def test_help_lists_groups_with_their_default_and_a_line_for_each_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "loss").mkdir()
    (tmp_path / "loss/mine.yaml").write_text(
        "# @package x\n# A loss of my own.\n_target_: my.Loss\n"
    )
    assert ganforge("train", "--help", "--config-dir", str(tmp_path)) == 0
    text = capsys.readouterr().out
    for line in ("model: dcgan\n", "data: avatars\n", "logger: [csv,tensorboard]\n"):
        assert line in text
    assert re.search("mine +A loss of my own", text)
    assert re.search("dcgan +DCGAN \\(Radford", text)
    for absent in ("tool: ", "metrics: ", "classifier: ", "_target_"):
        assert absent not in text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("explore", ["tool: interpolation", "directions  ", "tool.steps: 9"]),
        ("explore tool=arithmetic", ["Keys of tool=arithmetic", "tool.confidence: 0.0"]),
        ("evaluate", ["metrics: all", "features: null", "memorisation  "]),
        ("compare", ["runs: ???", "metric: null"]),
        ("leaderboard", ["runs: [outputs]"]),
        ("pack", ["data: image_folder", "chunk_mb: 32"]),
    ],
)
def test_help_of_the_others(
    words: str, told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ganforge(*words.split(), "-h") == 0
    text = capsys.readouterr().out
    assert all(word in text for word in told), text
    assert "_target_" not in text


def test_every_option_that_help_lists_has_a_line() -> None:
    shown = [file for file in CONF.glob("*/*.yaml") if file.parent.name not in ("hydra", "paths")]
    assert [str(file) for file in shown if not about(file)] == []


def test_what_is_missing_is_told_before_heavy_imports() -> None:
    for command in ("generate", "explore", "export", "translate", "evaluate", "compare"):
        code = (
            f"import sys; sys.argv = ['ganforge', '{command}']\n"
            "from ganforge.cli import main\n"
            "try:\n    main()\nexcept SystemExit as stop:\n    assert stop.code == 2\n"
            "assert not {'torch', 'lightning'} & set(sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert " must be given" in done.stderr


def test_the_first_job_of_a_sweep_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["seed=3,4", "model.n_critic=range(2,5)", "loss=hinge,minimax"]
    assert ganforge("train", "-m", *words, "--cfg", "job") == 0
    text = capsys.readouterr().out
    assert "seed: 3\n" in text
    assert "n_critic: 2" in text
    assert "Hinge" in text


def test_the_command_line_starts_without_heavy_imports() -> None:
    code = (
        "import sys; sys.argv = ['ganforge', 'train', '--cfg', 'job']\n"
        "from ganforge.cli import main; main()\n"
        "heavy = {'torch', 'lightning', 'matplotlib', 'wandb', 'torchvision'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "DCGANGenerator" in done.stdout


def test_a_trace_is_shown_on_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GANFORGE_TRACE", "1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match="not a run"):
        ganforge("generate", "run=nowhere")


def test_train_evaluate_generate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One tiny run through all three commands; the same seed writes the same files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "data"))
    assert ganforge("train", *TINY_AVATARS, *TINY, "model.generator.width=8") == 0
    assert "Next" in capsys.readouterr().out
    run = "run=outputs/latest"
    assert ganforge("evaluate", run, "n=20") == 0
    report = capsys.readouterr().out
    assert "fid20_train" in report
    assert "cnn" in report
    for folder in ("first", "second"):
        assert ganforge("generate", run, "n=5", "seed=7", f"output={folder}") == 0
    first, second = (sorted((tmp_path / f).iterdir()) for f in ("first", "second"))
    assert len(first) == 5
    assert [p.name for p in first] == [p.name for p in second]
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    # A seed names its picture, however many are made at once.
    assert ganforge("generate", run, "n=1", "seed=9", "output=third") == 0
    assert (tmp_path / "third/seed_000009.png").read_bytes() == first[2].read_bytes()


def test_ten_pictures_are_enough_to_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "data"))
    draw_pictures(tmp_path / "ten", 10)
    small = ["model.generator.width=4", "model.discriminator.width=4", "trainer.accelerator=cpu"]
    data = ["data=image_folder", "data.source.path=ten", "data.size=32", "data.batch_size=4"]
    few = ["debug=fast", "logger=[]", "hydra.run.dir=run", "callbacks.image_quality.n_images=9"]
    assert ganforge("train", *data, *small, *few) == 0
    out = capsys.readouterr().out
    assert "fid9_train" in out
    assert "left out: the Inception Score needs at least 10 images on each side, got 9" in out
    assert (tmp_path / "run/outcome.json").is_file()


def without_home(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    """A process that has no HOME, of a user whose home the system says is ``home``."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("GANFORGE_DATA", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path.replace("~", home))


def test_a_process_without_home(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As those of cron, systemd and containers are."""
    show = ["train", "--cfg", "job", "--resolve", "--package", "paths"]
    without_home(monkeypatch, "/home/some")
    assert ganforge(*show) == 0
    assert "data_dir: /home/some/.cache/ganforge" in capsys.readouterr().out
    without_home(monkeypatch, "~")
    assert ganforge(*show) == 2
    assert said(capsys).startswith(
        "ganforge: HOME is not set, and this user has none: let GANFORGE"
    )
    monkeypatch.setenv("GANFORGE_DATA", "/elsewhere")
    assert ganforge(*show) == 0
    assert "data_dir: /elsewhere" in capsys.readouterr().out
    monkeypatch.setenv("GANFORGE_DATA", "")
    assert ganforge(*show) == 2
    assert said(capsys).startswith("ganforge: GANFORGE_DATA is empty: name the folder")


def test_a_current_folder_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert ganforge("generate", "run=x") == 2
    assert said(capsys).startswith("ganforge: the current folder is gone")


def test_help_ends_its_lines_where_the_terminal_does(monkeypatch, capsys):
    assert ganforge("train", "--help") == 0
    whole = capsys.readouterr().out.splitlines()
    monkeypatch.setenv("COLUMNS", "60")
    assert ganforge("train", "--help") == 0
    cut = capsys.readouterr().out.splitlines()
    assert max(map(len, whole)) > 60 == max(map(len, cut))
    assert len(cut) == len(whole)
    assert all(b == a or (b.endswith("…") and a.startswith(b[:-1]))
               for a, b in zip(whole, cut, strict=True))  # fmt: skip
