"""What the pages, the reports and the errors print is composed as a user would paste it.

Commands stand in fenced blocks, in backticks, and in strings of the program; placeholders such as
FOLDER are words of their own. ``SLOW`` are those of the README that are run by test-full alone.
"""

import ast
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from ganforge.cli import COMMANDS
from ganforge.config.arguments import prepared
from ganforge.config.checks import check_settings
from ganforge.config.completion import SHELLS
from ganforge.sharing.space import APP
from helpers import CONF, draw_pictures, ganforge, options

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "README.ko.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:ganforge|make|python -m) [^`…]+)`")
STARTS = ("ganforge ", ".venv/bin/", "$ ganforge ", "make ", "pip ", "torchrun ", "srun ", "until ",
          "wandb ", "aws ", "pytest ", "python ")  # fmt: skip
EXTERNAL = ("pip", "wandb", "aws", "tensorboard", "pytest")


def lines_of(page: Path) -> Iterator[str]:
    """Every command of a page, one line each."""
    text = page.read_text(encoding="utf-8")
    yield from fenced(text)
    yield from INLINE.findall(FENCE.sub("", text).replace("\n", " "))


def fenced(text: str) -> Iterator[str]:
    """The commands in blocks, which must be whole."""
    for _, block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            if line.strip().startswith(STARTS):
                yield line.strip().removeprefix("$ ")


def words_of(line: str) -> list[str]:
    """A line as a shell splits it; what stands for a name is one."""
    line = line.replace("outputs/<run>", "outputs/RUN").replace("/...", "/NAME")
    line = line.replace("tool=TOOL", "tool=interpolation").replace("seed=S", "seed=1")
    line = re.sub(r"^until (.*?);.*", r"\1", line)
    return [word for word in shlex.split(line, comments=True) if word not in ("...", "…")]


LOOKING_AFTER = ("checks", "clean", "zoo")
PRINTED = sorted({line for page in PAGES for line in lines_of(page)})
COMPLETE = {line for page in PAGES for line in fenced(page.read_text(encoding="utf-8"))}


def composed(command: str, words: list[str]) -> list[DictConfig]:
    """The configurations that a command line asks for: of a sweep, those that differ in a group."""
    overrides = [word for word in prepared(command, words) if "=" in word or word[0] == "~"]
    overrides = [re.sub(r"^resume=", "resume.run=", word) for word in overrides]
    parsed = OverridesParser.create().parse_overrides(overrides)
    jobs = BasicSweeper.split_arguments(parsed, None)[0]
    GlobalHydra.instance().clear()
    found = []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for job in {tuple(jobs[0]): None, tuple(jobs[-1]): None}:
            config = compose(command, list(job), return_hydra_config=True)
            HydraConfig.instance().set_config(config)
            with open_dict(config):
                del config["hydra"]
            found.append(config)
    return found


def check_other(words: list[str]) -> None:
    """What can be known of another program's command."""
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1] in targets
    elif words[0] == "pip":
        extras = re.search(r"ganforge\[(\w+)\]", " ".join(words))
        if extras:
            assert f"\n{extras[1]} = [" in (ROOT / "pyproject.toml").read_text()
    elif words[:2] == ["python", "-m"]:
        assert find_spec(words[2]) is not None
    elif words[0] == "python":  # a program that a command writes
        assert Path(words[1]).name == APP
    else:
        assert words[0] in EXTERNAL
    for word in words[1:]:
        if word.startswith(("conf/", "tests/", "docs/")):
            assert (ROOT / word).exists()


@pytest.mark.parametrize("line", PRINTED)
def test_what_a_page_prints_is_a_command(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "data=PICTURES" in line:  # pictures are known by being there
        monkeypatch.chdir(tmp_path)
        (tmp_path / "PICTURES").mkdir()
        (tmp_path / "PICTURES.zip").touch()
    words = words_of(line)
    if "ganforge" in words and words[0] in ("torchrun", "srun"):
        words = words[words.index("ganforge") :]
    name = Path(words[0]).name
    if words[0] in ("make", "python") or name in EXTERNAL:
        check_other([words[0] if words[0] == "python" else name, *words[1:]])
        return
    assert name == "ganforge", line
    if words[1].startswith("-") or words[1] == "COMMAND":
        return
    if words[1] == "completion":
        assert words[2] in SHELLS
        return
    if words[1] in LOOKING_AFTER:
        return
    assert words[1] in COMMANDS, line
    if words[1:] == ["evaluate"]:  # the command itself, named in passing
        return
    if words[2:] and words[2].startswith("--"):
        prepared(words[1], words[2:])
        return
    for config in composed(words[1], words[2:]):
        if line not in COMPLETE:  # named in passing
            for key in OmegaConf.missing_keys(config):
                OmegaConf.update(config, key, ["PLACEHOLDER"] if key == "runs" else "PLACEHOLDER")
        check_settings(config)


def without_comment(line: str) -> str:
    return line.partition("#")[0].strip()


def test_the_korean_page_keeps_step_with_the_english_one() -> None:
    """The same pictures, and commands of it alone: one for each recipe and tool named there."""
    english, korean = (path.read_text(encoding="utf-8") for path in PAGES[:2])
    of_english, of_korean = ({without_comment(line) for line in lines_of(p)} for p in PAGES[:2])
    assert of_korean <= of_english
    assert {"make train", "make test"} <= of_korean
    pictures, choices = re.compile(r"docs/images/[\w/.]+"), re.compile(r"experiment=\w+|tool=\w+")
    assert pictures.findall(korean) == pictures.findall(english)
    assert set(choices.findall(english)) - {"experiment=quickstart"} == set(choices.findall(korean))
    for link in re.findall(r"\]\(([^)]+)\)", korean):
        assert (ROOT / link).is_file(), link


def test_pages_print_enough_to_be_checked() -> None:
    assert len(PRINTED) > 60


# The words of a remedy: ``key=value``, also in a list of alternatives.
WORD = re.compile(
    r"(?<![\w./{}~+\-<>=\"'])(~?[a-z_]+(?:[./@][\w]+)*)=(\[[^\]\s]*\]|[^\s,;)'\"`:]*)"
)
FREE = {"key", "value", "attribute", "object_type", "reference_type", "charset", "activation",
        "glasses", "hair", "resume", "resume_sweep",
        "exemplar", "line", "media", "hydra", "comment"}  # fmt: skip
"""Words of the grammar itself, attributes of faces, and what ``train`` turns into other keys."""


def sentences() -> Iterator[tuple[str, str]]:
    """Every text of the program that may be said, with where it stands; ``{}`` is filled in."""
    for path in sorted((ROOT / "src/ganforge").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts = {id(p) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for p in n.values}
        parts |= {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            place = f"{path.name}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.JoinedStr):
                texts = (p.value if isinstance(p, ast.Constant) else "{}" for p in node.values)
                yield place, "".join(map(str, texts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from [(place, node.value)] * (id(node) not in parts)


def remedies() -> dict[str, str]:
    """Each ``key=value`` of a sentence with a place where it stands."""
    found = {}
    for place, text in sentences():
        if re.search(r"</|/>|<\?|=['\"]", text):  # SVG, HTML, XML
            continue
        for key, value in WORD.findall(text):
            found[f"{key}={value.rstrip('.')}"] = place
    return found


@pytest.fixture(scope="module")
def keys() -> dict[str, tuple[str, list[str]]]:
    """Every key that some command has with some option of its groups, and what has it first."""
    choices = [
        ("train", []),
        *(("train", [f"model={name}"]) for name in options("model")),
        *(("train", [f"data={name}"]) for name in options("data")),
        *(("train", [f"features={name}"]) for name in options("features")),
        *(("explore", [f"tool={name}"]) for name in options("tool")),
        ("train", ["sweep=optuna_gaussian1d"]),
        ("train", ["experiment=photos"]),
        ("train", ["callbacks=translation", "noise=instance", "norm=spectral"]),
        ("train", ["callbacks=[default,compile,cuda_graph]", "augment=ada", "trainer=ddp"]),
        *((command, []) for command in COMMANDS if command not in ("train", "explore")),
    ]
    found: dict[str, tuple[str, list[str]]] = {}
    for command, overrides in choices:
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose(command, overrides, return_hydra_config=True)
        for key in _dotted(OmegaConf.to_container(config, resolve=False), ""):
            found.setdefault(key, (command, overrides))
    return found


def _dotted(node: object, prefix: str) -> Iterator[str]:
    if isinstance(node, dict):
        for key, child in node.items():
            name = f"{prefix}.{key}" if prefix else str(key)
            yield name
            yield from _dotted(child, name)


def test_every_remedy_names_what_there_is(keys: dict[str, tuple[str, list[str]]]) -> None:
    """A key that some command has, and of a group an option."""
    wrong = []
    for remedy, place in remedies().items():
        key, _, value = remedy.lstrip("~").partition("=")
        group = key.partition("@")[0]
        if key in FREE or "{" in key or remedy == "group=option":  # the form of any choice
            continue
        if (CONF / group).is_dir():
            names = re.split(r"[,|]", value.strip("[]").rstrip("."))
            names = [name for name in names if name.islower() and "{" not in name]
            fine = all(name in [*options(group), "null"] for name in names)
        else:
            fine = key in keys
        if not fine:
            wrong.append(f"{place}: {remedy}")
    assert not wrong, "\n".join(wrong)


REMEDIES = sorted(
    remedy for remedy in remedies()
    if "{" not in remedy and re.fullmatch(r"[a-z_]+=\[?[a-z_0-9]+\]?|(model|trainer|data)\..*=.+",
                                          remedy)
    and (CONF / remedy.partition("=")[0].partition(".")[0]).is_dir()
)  # fmt: skip


@pytest.mark.parametrize("remedy", REMEDIES)
def test_every_remedy_of_a_training_composes(
    remedy: str, keys: dict[str, tuple[str, list[str]]]
) -> None:
    key = remedy.partition("=")[0]
    command, more = keys.get(key, ("train", []))
    if key in ("metrics", "classifier"):
        command, more = "evaluate", []
    for config in composed(command, [*more, remedy]):
        assert config is not None


SMALL = {
    "photos": ["data.size=32", "model.generator.width=4", "model.discriminator.width=4"],
    "quickstart": ["data.size=32", "data.source.train_count=32", "data.source.test_count=16",
                   "data.source.workers=1", "model.generator.width=4",
                   "model.discriminator.width=4"],
}  # fmt: skip
"""What makes each training of the README short."""
SHORT = {
    "train": ["debug=fast", "trainer.max_steps=2", "data.batch_size=4", "trainer.accelerator=cpu",
              "callbacks.image_quality.n_images=16"],
    "evaluate": ["n=16", "path_pairs=2", "metrics=basic"],
    "generate": ["n=2"],
    "explore": ["tool.a=[0,1]", "tool.b=[2,3]", "tool.steps=2", "tool.frames=2", "tool.shown=1",
                "tool.path_length=0"],
    "export": [],
}  # fmt: skip
README = [line for line in lines_of(PAGES[0]) if words_of(line)[0] == "ganforge"]
TRAININGS = {name: line for line in README for name in SMALL if f"={name} " in line}


def run_short(line: str, *more: str) -> None:
    name, *words = words_of(line)[1:]
    assert ganforge(name, *words, *SHORT[name], *more) == 0, line


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "cache"))
    return tmp_path


def test_the_readme_runs_on_pictures_of_ones_own(at_home: Path) -> None:
    """Shortened by overrides alone: train, then all that is said of ``outputs/latest``."""
    folder = draw_pictures(at_home / "PICTURES", 20)
    shutil.make_archive(str(at_home / "PICTURES"), "zip", folder)
    run_short(TRAININGS["photos"], *SMALL["photos"])
    told = {line: words_of(line)[1] for line in README if "run=" in line}
    told = {line: name for line, name in told.items() if name != "retouch"}  # of another model
    assert set(told.values()) == {"evaluate", "generate", "explore", "export"}
    # A bundle is made before it is used.
    for line in sorted(told, key=lambda line: ("run=faces" in line, line)):
        run_short(line)


@pytest.mark.slow
def test_the_readmes_own_training_runs(at_home: Path) -> None:
    run_short(TRAININGS["quickstart"], *SMALL["quickstart"])


@pytest.mark.slow
def test_the_readmes_sweep_runs(at_home: Path) -> None:
    (line,) = (line for line in README if "train -m" in line)
    small = [word for word in SMALL["quickstart"] if not word.startswith("model.")]
    run_short(line, *small, "seed=1,2")
    (folder,) = (at_home / "outputs/sweeps").iterdir()
    jobs = json.loads((folder / "sweep.json").read_text())["jobs"]
    assert [job["state"] for job in jobs] == ["done"] * 8
