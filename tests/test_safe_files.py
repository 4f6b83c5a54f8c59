"""Nothing that is read can execute: held by reading every call in the code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    path
    for folder in ("src", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.is_file()
]
EXECUTES = {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "runpy"}
FORBIDDEN = {"yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.hub.load"}


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def keyword(call: ast.Call, name: str) -> object:
    values = [k.value.value for k in call.keywords if k.arg == name and hasattr(k.value, "value")]
    return values[0] if values else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_read_is_data(path: Path) -> None:
    for name, call in calls(path):
        assert name not in EXECUTES | FORBIDDEN, f"{path}:{call.lineno} calls {name}"
        if name == "torch.load":
            assert keyword(call, "weights_only") is True, f"{path}:{call.lineno}"
        assert not keyword(call, "allow_pickle"), f"{path}:{call.lineno}"
        assert not keyword(call, "shell"), f"{path}:{call.lineno}"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None), *(alias.name for alias in node.names)]
            assert not MODULES & {str(name).split(".")[0] for name in names}, path


DOORS = {"src/ganforge/data/decode.py", "src/ganforge/utils/png.py"}
"""Where picture files are opened: those of users, and our own PNGs."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_of_anyone_pass_through_the_guarded_doors(path: Path) -> None:
    for name, call in calls(path):
        if name in ("Image.open", "PIL.Image.open"):
            assert path.relative_to(ROOT).as_posix() in DOORS, f"{path}:{call.lineno}"
            assert "formats" in {k.arg for k in call.keywords}, f"{path}:{call.lineno}"
        if name == "np.load":
            assert path.name == "store.py", f"{path}:{call.lineno}"
        if name.endswith(".extractall"):
            assert keyword(call, "filter") == "data", f"{path}:{call.lineno}"
        assert name != "shutil.unpack_archive", f"{path}:{call.lineno}"


def test_the_rule_can_fail(tmp_path: Path) -> None:
    for line in ("import torch; torch.load('x')", "import pickle", "eval('1')"):
        (tmp_path / "x.py").write_text(line)
        with pytest.raises(AssertionError):
            test_what_is_read_is_data(tmp_path / "x.py")
