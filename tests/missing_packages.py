"""What ``ganforge`` sees where the base alone is installed: ``python missing_packages.py ...``."""

import re
import sys
import tomllib
from contextlib import suppress
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def base() -> set[str]:
    """The distributions that the dependencies of pyproject.toml bring, by their plain names."""
    todo = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    found: set[str] = set()
    while todo:
        name = _plain(re.match(r"[\w.-]+", todo.pop())[0])
        if name in found:
            continue
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # of another system
            continue
        found.add(name)
        todo += [need for need in needs if "extra ==" not in need]
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def outside() -> set[str]:
    """The modules that only packages outside of the base have."""
    here, owners = base(), metadata.packages_distributions()
    found = {module for module, of in owners.items() if not here & set(map(_plain, of))}
    return found - {"ganforge", "hydra_plugins", *sys.stdlib_module_names}


class BaseFinder(PathFinder):
    """Finds what Python finds, but for those modules."""

    missing = outside()

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
        if name.partition(".")[0] in cls.missing:
            return None
        return PathFinder.find_spec(name, path, target)


if __name__ == "__main__":  # commands are told apart by a word "--"
    sys.meta_path[sys.meta_path.index(PathFinder)] = BaseFinder
    from hydra.core.global_hydra import GlobalHydra

    from ganforge.cli import main

    for words in " ".join(sys.argv[1:]).split(" -- "):
        sys.argv[1:] = words.split(" ")
        GlobalHydra.instance().clear()
        with suppress(SystemExit):
            main()
