"""Follow docs/extending.md word for word: write its files and run its commands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
BLOCK = re.compile(r"```(\w+)(?: file=(\S+))?\n(.*?)```", re.DOTALL)
BLOCKS = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
COMMANDS = [text.strip() for language, _, text in BLOCKS if language == "bash"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("extending")
    for _, name, text in BLOCKS:
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_page_adds_each_kind_of_thing() -> None:
    files = {name for _, name, _ in BLOCKS if name}
    groups = {name.split("/")[1] for name in files if name.startswith("my_conf/")}
    assert groups == {"model", "loss", "data", "callbacks", "generator_term"}
    assert len(COMMANDS) == 7


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: re.findall(r"\w+=\S+", c)[0])
def test_command_trains_two_steps(command: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "GANFORGE_DATA": str(folder / "data")}
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run = (folder / "outputs" / "latest").resolve()
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(record["step"] for record in records) == 2
    if "mean_matching" in command:
        assert any("generator/mean" in record for record in records)
    if "generator_term" in command:
        name = re.findall(r"generator_term=\[(\w+)", command)[0]
        assert any(f"generator/{name}" in record for record in records)
    if "explore" in command:
        (found,) = (run / "explore").glob("*/explore.json")
        assert json.loads(found.read_text())["space"] == "w"
    if "mean_picture" in command:
        assert (run / "samples" / "mean_000002.png").is_file()
