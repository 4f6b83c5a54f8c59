"""Completion as a shell does it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ganforge.cli import COMMANDS
from ganforge.config.completion import SHELLS, completions
from helpers import ganforge


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("gen", ["generate"]),
        ("train mod", ["model.", "model="]),
        ("train model=dc", ["model=dcgan"]),
        ("train regularizer=[r1,lec", ["regularizer=[r1,lecam"]),
        ("train loss=hinge,min", ["loss=hinge,minimax"]),
        ("train callbacks.sample_grid.e", ["callbacks.sample_grid.every_n_steps="]),
        ("train callbacks.sample_g", ["callbacks.sample_grid."]),
        ("train --mul", ["--multirun"]),
        ("explore tool=arithmetic tool.confi", ["tool.confidence="]),
        ("evaluate checkpoint=b", ["checkpoint=best"]),
        ("generate run=", []),
        ("completion z", ["zsh"]),
        ("fly mo", []),
    ],
)
def test_what_a_word_may_become(typed: str, found: list[str]) -> None:
    assert completions([*COMMANDS, "completion"], typed.split()) == found


def in_shell(shell: str, script: str, folder: Path) -> str:
    """What a shell says that finds ``ganforge``."""
    program = folder / "ganforge"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m ganforge \"$@\"\n")
    program.chmod(0o755)
    done = subprocess.run(
        [shell, "-c", script], cwd=folder, capture_output=True, text=True, timeout=60,
        env={"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ganforge evalu", "evaluate"),
        ("ganforge train model=dc", "dcgan"),
        ("ganforge train loss=hinge,min", "hinge,minimax"),
        ("ganforge train --mul", "--multirun"),
        ("ganforge generate run=", ""),
    ],
)
def test_bash_completes(line: str, found: str, tmp_path: Path) -> None:
    script = f'''eval "$(ganforge completion bash)"
    COMP_LINE={line!r} COMP_POINT=${{#COMP_LINE}}; _ganforge; echo "${{COMPREPLY[*]}}"'''
    script = script.replace(f"COMP_LINE={line!r} ", f"COMP_LINE={line!r}; ")
    assert in_shell("bash", script, tmp_path).strip() == found


@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_scripts_are_scripts(shell: str, tmp_path: Path) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(SHELLS[shell])
    subprocess.run([shell, "-n", str(tmp_path / "script")], check=True, timeout=60)


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes(tmp_path: Path) -> None:
    script = "ganforge completion fish | source; complete -C 'ganforge train model=dc'"
    assert "model=dcgan" in in_shell("fish", script, tmp_path)


def test_an_unknown_shell_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert ganforge("completion", "tcsh") == 2
    assert "bash, zsh, fish" in capsys.readouterr().err
