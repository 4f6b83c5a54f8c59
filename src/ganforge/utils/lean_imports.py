"""Lightning without what it would import beside itself: most of the time before a command begins.

Lightning wants two base classes of torchmetrics, whose package imports SciPy and all its metrics,
and asks whether modules are compiled, for which it imports torch's compiler. Both packages are
there from the start, and their own files run when somebody asks for anything else of them.
"""

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

METRICS, COMPILER = "torchmetrics", "torch._dynamo"
HOMES = {"Metric": "metric", "MetricCollection": "collections"}


class OfCompiler(type):
    """Whether an object is compiled, which none is while nobody has opened the compiler."""

    def __instancecheck__(cls, instance: object) -> bool:
        home = sys.modules.get(f"{COMPILER}.eval_frame")
        return home is not None and isinstance(instance, home.OptimizedModule)


class OptimizedModule(metaclass=OfCompiler):
    """What Lightning tells compiled modules by."""


class UnopenedMetrics(ModuleType):
    """torchmetrics: the two classes come from their own files, for anything else its own runs."""

    def __getattr__(self, name: str) -> Any:
        if name == "__version__":
            return import_module("importlib.metadata").version(METRICS)
        if name == "_logger":
            return import_module("logging").getLogger(METRICS)
        if name.startswith("__"):
            raise AttributeError(f"module {METRICS!r} has no attribute {name!r}")
        if name in HOMES:
            import_module(f"{METRICS}.utilities")  # first of all: metric and this name each other
            return getattr(import_module(f"{METRICS}.{HOMES[name]}"), name)
        self.__class__ = ModuleType
        self.__spec__.loader.loader.exec_module(self)
        return getattr(self, name)


class UnopenedCompiler(ModuleType):
    """torch's compiler: two names are ours, for others the module is imported in its place."""

    OptimizedModule = OptimizedModule

    @staticmethod
    def disable(function: Callable, recursive: bool = True, **options: Any) -> Callable:
        """What ``torch.compiler.disable`` makes of a function, made when that is first called."""
        made: list[Callable] = []

        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            if not made:
                made.append(opened_compiler().disable(function, recursive, **options))
            return made[0](*arguments, **named)

        return call

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {COMPILER!r} has no attribute {name!r}")
        return getattr(opened_compiler(), name)


def opened_compiler() -> ModuleType:
    """The compiler itself, imported now if nobody has asked for it before."""
    if isinstance(sys.modules.get(COMPILER), UnopenedCompiler):
        del sys.modules[COMPILER]
        OPENED.add(COMPILER)
    return import_module(COMPILER)


class Later(Loader):
    """Makes a module of a kind that runs its own file when it is asked for something."""

    def __init__(self, loader: Loader, kind: type[ModuleType]) -> None:
        self.loader, self.kind = loader, kind

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module, with nothing in it."""
        return self.kind(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leave it so."""


class There(Loader):
    """Hands out a module that the import of its package has brought along."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002
        """The module that is there."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Leave it as it is."""
        module.__spec__ = self.spec


KINDS = {METRICS: UnopenedMetrics, COMPILER: UnopenedCompiler}
OPENED: set[str] = set()


class Lean(MetaPathFinder):
    """Finds the two packages before Python does, until they are opened."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What Python finds, to be run later."""
        if name in KINDS and name not in OPENED:
            spec = PathFinder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = Later(spec.loader, KINDS[name])
            return spec
        if not name.startswith(f"{COMPILER}."):
            return None
        if isinstance(sys.modules.get(COMPILER), UnopenedCompiler):
            opened_compiler()  # a part is imported after the whole, which brings most along
        if (there := sys.modules.get(name)) is not None:
            return ModuleSpec(name, There(there), is_package=hasattr(there, "__path__"))
        return None


def import_leanly() -> None:
    """Let the two packages wait until they are asked for, where nobody has imported them."""
    if not any(isinstance(finder, Lean) for finder in sys.meta_path):
        sys.meta_path.insert(0, Lean())
