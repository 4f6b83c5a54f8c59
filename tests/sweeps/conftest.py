import json
import sys

import pytest

from ganforge.sweeps import process

# What a job's process does is written in its folder; the real one imports torch for seconds.
STUB = """
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
plan = json.loads((folder / "plan.json").read_text())
print("job", folder.name, os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
if plan.get("child"):
    import subprocess
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
if "sleep" in plan:
    (folder / "alive").touch()
    time.sleep(plan["sleep"])
if "kill" in plan:
    os.kill(os.getpid(), plan["kill"])
if "error" in plan:
    (folder / "outcome.json").write_text(json.dumps({"error": plan["error"]}))
    sys.exit(1)
if "exit" in plan:
    sys.exit(plan["exit"])
value = {"objective": "fid", "value": plan["value"], "step": 7}
(folder / "outcome.json").write_text(json.dumps(value))
"""


@pytest.fixture
def stub_jobs(tmp_path, monkeypatch):
    """Make job folders whose processes do what a plan says."""
    program = tmp_path / "stub.py"
    program.write_text(STUB)
    monkeypatch.setattr(process, "JOB", (sys.executable, "-S", str(program)))

    def make(plans):
        folders = [tmp_path / "sweep" / str(number) for number in range(len(plans))]
        for folder, plan in zip(folders, plans, strict=True):
            folder.mkdir(parents=True)
            (folder / "plan.json").write_text(json.dumps(plan))
        return folders

    return make
