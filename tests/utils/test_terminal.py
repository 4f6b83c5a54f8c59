"""Any text on any terminal, and work that stands whatever can be said of it."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge.utils.terminal import command, telling, terminal

SAY = """
import sys
from ganforge.utils.terminal import open_for_any_text, terminal
open_for_any_text()
print("B\u00fccher \u2193 [/x]", flush=True)
terminal().print("\u2502 [/x] :smile: [bold]", end="\\n")
print("\u2193", file=sys.stderr)
print("x" * 100000)
sys.exit(7)
"""


def say(**options: object) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, **options.pop("env", {})}
    return subprocess.run([sys.executable, "-c", SAY], env=environment, **options)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("ascii", b"B\\xfccher \\u2193 [/x]\n\\u2502 [/x] :smile: [bold]\n"),
        ("latin-1", b"B\xfccher \\u2193 [/x]\n\\u2502 [/x] :smile: [bold]\n"),
        ("utf-8", "Bücher ↓ [/x]\n│ [/x] :smile: [bold]\n".encode()),
    ],
)
def test_text_is_escaped_and_encodable(encoding: str, said: bytes) -> None:
    told = say(env={"PYTHONIOENCODING": encoding}, capture_output=True)
    assert told.returncode == 7
    assert told.stdout == said + b"x" * 100000 + b"\n"
    assert told.stderr == {"utf-8": "↓\n".encode()}.get(encoding, b"\\u2193\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nobody_who_reads_is_no_error(unbuffered: str) -> None:
    """As ``ganforge ... | head`` and a log on a full disk are."""
    reading, writing = os.pipe()
    os.close(reading)
    env = {"PYTHONUNBUFFERED": unbuffered}
    told = say(stdout=writing, stderr=subprocess.PIPE, env=env)
    os.close(writing)
    assert (told.returncode, told.stderr) == (7, "↓\n".encode())
    with open("/dev/full", "wb") as full:
        assert say(stdout=full, stderr=full, env=env).returncode == 7
    closed = [sys.executable, "-c", SAY]
    line = f"{shlex.join(closed)} >&- 2>&-"
    assert subprocess.run(["sh", "-c", line]).returncode == 7


def test_a_training_that_nobody_can_read_of_is_finished(tmp_path: Path) -> None:
    folder = tmp_path / "Bücher [/x]"
    folder.mkdir(parents=True)
    line = [sys.executable, "-m", "ganforge", "train", "experiment=gaussian1d", "debug=fast"]
    line += ["logger=[]", "trainer.accelerator=cpu", "hydra.run.dir=run [/y]"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "GANFORGE_DATA": str(tmp_path)}
    told = subprocess.run(line, cwd=folder, env=environment, capture_output=True)
    assert told.returncode == 0, told.stderr.decode()
    assert b"run [/y]/checkpoints/last.ckpt" in told.stdout
    assert json.loads((folder / "run [/y]/outcome.json").read_text())["step"] == 2
    assert b"Traceback" not in told.stderr


def test_what_happened_stands_where_it_cannot_be_told(capsys: pytest.CaptureFixture[str]) -> None:
    with telling("the report"):
        raise RuntimeError("no\nfont")
    told = "ganforge: the report cannot be shown (RuntimeError: no font)\n"
    assert capsys.readouterr().err == told


def test_a_printed_command_can_be_pasted() -> None:
    words = ["ganforge", "train", "resume=it's a $HOME (1)/#x"]
    assert shlex.split(command(*words)) == words


def test_consoles_are_made_in_one_place(capsys: pytest.CaptureFixture[str]) -> None:
    terminal().print("[/x] :smile: [red]7[/]")
    assert capsys.readouterr().out == "[/x] :smile: [red]7[/]\n"
    source = Path(__file__).parents[2] / "src"
    makers = [path.name for path in source.rglob("*.py") if "Console(" in path.read_text()]
    assert makers == ["terminal.py"]
