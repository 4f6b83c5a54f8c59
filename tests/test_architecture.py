"""The shape of the code, held by reading it: who imports whom, who instantiates.

The table is that of docs/architecture.md: a rule that must change is changed here and there.
"""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "ganforge"
FILES = sorted(PACKAGE.rglob("*.py"))
PLUGINS = sorted((PACKAGE.parent / "hydra_plugins").rglob("*.py"))

# Folder -> what of ganforge it may import; a folder may always import itself.
INSIDE = {
    "augment": set(),
    "losses": set(),
    "networks": set(),
    "utils": set(),
    "data": {"utils"},
    "metrics": {"utils"},
    "latent": {"utils"},
    "models": {"latent", "losses", "networks", "utils"},
    "callbacks": {"latent", "metrics", "models", "report", "utils"},
    "retouch": {"data", "networks", "utils"},
    "config": {"models", "utils"},
    "report": {"latent", "metrics", "scoring", "utils"},
    "trained": {"config", "data", "latent", "metrics", "models", "networks", "utils"},
    "scoring": {"config", "data", "latent", "metrics", "models", "report", "trained", "utils"},
    "sharing": {"config", "metrics", "models", "report", "scoring", "trained", "utils"},
    "training": {
        "callbacks",
        "config",
        "data",
        "metrics",
        "models",
        "networks",
        "report",
        "trained",
        "utils",
    },
    "sweeps": {"config", "training", "utils"},
    "api": {
        "config",
        "latent",
        "metrics",
        "models",
        "networks",
        "report",
        "scoring",
        "sharing",
        "trained",
    }
    | {"utils"},
    "lab": {"api", "config", "data", "latent", "metrics", "models", "report", "retouch"}
    | {"scoring", "trained", "training", "utils"},
    "commands": {
        "api",
        "config",
        "data",
        "lab",
        "latent",
        "metrics",
        "models",
        "report",
        "scoring",
        "sharing",
    }
    | {"retouch", "trained", "training", "utils"},
}
TORCH_ONLY = ("augment", "losses", "networks", "latent")


def relative(path):
    return path.relative_to(PACKAGE).as_posix()


def imports(path):
    """Every module that a file names in an import, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module)
    return found


def files_of(folder):
    return [path for path in FILES if relative(path).startswith(f"{folder}/")]


def own(names):
    """Folders (or files) of ganforge among module names."""
    return {name.split(".")[1] for name in names if name.startswith("ganforge.")}


def test_every_folder_has_a_rule():
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert folders <= set(INSIDE)


@pytest.mark.parametrize("folder", INSIDE)
def test_folders_import_only_what_their_rule_allows(folder):
    for path in files_of(folder):
        forbidden = own(imports(path)) - INSIDE[folder] - {folder}
        assert not forbidden, f"{relative(path)} imports {forbidden}"


@pytest.mark.parametrize("folder", TORCH_ONLY)
def test_the_mathematics_needs_torch_alone(folder):
    for path in files_of(folder):
        outside = {name.split(".")[0] for name in imports(path)} - set(sys.stdlib_module_names)
        assert outside <= {"torch", "ganforge"}, f"{relative(path)} imports {outside}"


def test_models_import_only_what_is_made_to_be_shared_among_models():
    shared = {
        f"ganforge.models.{part}"
        for part in ("base", "conditioning", "image_pool", "latent", "translator")
    }
    for path in files_of("models"):
        models = {name for name in imports(path) if name.startswith("ganforge.models")}
        assert models <= shared, relative(path)


def test_losses_build_on_the_objective_alone():
    for path in files_of("losses"):
        losses = {name for name in imports(path) if name.startswith("ganforge.losses")}
        assert losses <= {"ganforge.losses.objective"}, relative(path)


def test_what_learns_and_measures_knows_no_hydra():
    rooms = ("commands/", "config/", "scoring/", "sweeps/", "training/")
    for path in FILES:
        if any(name.split(".")[0] == "hydra" for name in imports(path)):
            assert relative(path).startswith(rooms) or relative(path) == "cli.py"


def test_scores_take_typed_arguments_and_no_configuration():
    for path in files_of("scoring"):
        names = {
            n.id for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Name)
        }
        assert "DictConfig" not in names, relative(path)


def test_nobody_imports_a_command_but_the_command_line():
    for path in FILES:
        if "commands" in own(imports(path)):
            assert relative(path).startswith("commands/") or relative(path) == "cli.py"


def test_no_drawer_for_everything():
    names = {"utils.py", "helpers.py", "misc.py", "tools.py"}
    assert not [relative(path) for path in FILES if path.name in names]


def test_no_files_import_each_other_in_a_circle():
    names = {"ganforge." + relative(path)[:-3].replace("/", "."): path for path in FILES}
    edges = {n: {m for m in imports(path) if m in names} for n, path in names.items()}
    while leaves := {name for name, others in edges.items() if not others & edges.keys()}:
        edges = {name: others for name, others in edges.items() if name not in leaves}
    assert not edges, sorted(edges)


def functions(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", FILES + PLUGINS, ids=lambda p: p.name)
def test_signatures_are_annotated(path):
    for function in functions(path):
        parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        bare = [a.arg for a in parameters if a.annotation is None and a.arg not in ("self", "cls")]
        assert not bare, f"{function.name}({', '.join(bare)})"
        assert function.returns is not None, function.name


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_no_error_is_swallowed_unnamed(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None)


def test_light_modules_stay_light():
    """What the command line imports before it knows what to do must cost nothing."""
    heavy = {"torch", "torchvision", "lightning", "matplotlib", "wandb", "numpy", "hydra", "PIL"}
    for name in (
        "cli.py",
        "__init__.py",
        "__main__.py",
        "utils/errors.py",
        "utils/files.py",
        "utils/runs.py",
        "config/compose.py",
        "config/sentences.py",
        "sweeps/manifest.py",
        "sweeps/process.py",
        "sweeps/slots.py",
    ):
        tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
        top = {
            (alias.name if isinstance(node, ast.Import) else node.module).split(".")[0]
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not top & heavy, f"{name} imports {top & heavy}"
