import json
import re
from pathlib import Path

import pytest
import yaml

from ganforge.callbacks.wandb_logger import GanWandbLogger
from helpers import CONF, composed, ganforge

KEYS = {
    "quality": ["scores/fid2k_train", "scores/kid2k_train", "scores/is2k", "theory/wasserstein1"],
    "balance": ["discriminator/D(x)", "discriminator/D(G(z))", "generator/loss",
                "discriminator/gradient_norm"],
    "speed": ["speed/images_per_second", "system/gpu.0.gpu", "system/cpu"],
}  # fmt: skip


@pytest.fixture
def no_key(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_workspace_shows_what_is_logged(no_key):
    pytest.importorskip("wandb_workspaces")
    assert ganforge("dashboard", "output=workspace.json", "axis=kimg", "project=faces") == 0
    view = json.loads((no_key / "workspace.json").read_text())
    assert view["project"] == "faces"
    sections = view["spec"]["section"]["panelBankConfig"]["sections"]
    by_name = {section["name"]: section["panels"] for section in sections}
    assert list(by_name) == ["quality", "balance", "samples", "speed"]
    for name, keys in KEYS.items():
        panels = [panel["config"] for panel in by_name[name]]
        assert all(panel["xAxis"] == "kimg" for panel in panels)
        for key in keys:
            assert sum(bool(re.search(panel["metricRegex"], key)) for panel in panels) == 1, key
    media = [panel["config"]["mediaKeys"] for panel in by_name["samples"]]
    assert media == [["samples", "theory"], ["interpolation"]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["no key", "wandb login", "output=FILE"]),
        (["entity=nobody"], ["no key", "wandb login", "output=FILE"]),
        (["output=x.json", "+sections.mine=[{title: t}]"], ["line= or media="]),
        (["output=x.json", "+sections.mine=[{line: a, colour: red}]"], ["colour", "media"]),
    ],
)
def test_what_is_missing_is_one_sentence(arguments, words, no_key, capsys):
    pytest.importorskip("wandb_workspaces")
    assert ganforge("dashboard", *arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("ganforge: ")
    for word in words:
        assert word in line


def test_wandb_agents_command_composes_and_searches_what_optuna_does(tmp_path):
    """The agent's own function makes the command of a run's parameters."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    sweep = yaml.safe_load((CONF / "wandb_sweep.yaml").read_text())
    chosen = {
        key: {"value": spec["values"][0] if "values" in spec else spec["min"]}
        for key, spec in sweep["parameters"].items()
    }
    arguments = create_sweep_command_args({"args": chosen})["args_no_hyphens"]
    fixed = [word for word in sweep["command"] if "=" in word]
    config = composed("train", [*fixed, *arguments], tmp_path, tmp_path)
    assert config.model.optimizer_generator.lr == sweep["parameters"][
        "model.optimizer_generator.lr"]["min"]  # fmt: skip
    assert config.logger.wandb._target_.endswith(GanWandbLogger.__name__)
    optuna = yaml.safe_load(Path(CONF / "sweep/optuna_dcgan.yaml").read_text())
    assert sweep["parameters"].keys() == optuna["hydra"]["sweeper"]["params"].keys()
    assert sweep["metric"]["name"] == "scores/fid2k_train"
    assert config.callbacks.image_quality.n_images == 2000
