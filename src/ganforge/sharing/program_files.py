"""Programs as files of ONNX or of torch.export: written, run again and compared with the run."""

import json
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from torch.export import ExportedProgram

from ganforge import __version__
from ganforge.sharing.programs import BATCH, HEIGHT, MADE, WIDTH, Program, programs
from ganforge.trained.load import LoadedRun
from ganforge.utils.errors import UserError
from ganforge.utils.files import atomic_path
from ganforge.utils.images import to_float
from ganforge.utils.modes import evaluating

TOLERANCE = 1e-4  # in [-1, 1]
HALF_LEVEL = 1 / 255  # of uint8, in [-1, 1]: what rounding changes at most
OPSET = 18
MOST_TIMED, SECONDS = 20, 2.0

Answer = Callable[..., Tensor]


class Writer(Protocol):
    """A format of programs: its ending, who runs it, and how it is written and opened."""

    ending: ClassVar[str]
    told: ClassVar[str]
    runtime: ClassVar[str]

    def write(self, exported: ExportedProgram, path: Path, program: Program, facts: str) -> None:
        """Write a file; ``facts`` are JSON that it keeps."""

    def open(self, path: Path) -> Answer:
        """What it holds, as a function of tensors."""


class Onnx:
    """ONNX, which many runtimes and languages read."""

    ending, told, runtime = ".onnx", f"opset {OPSET}", "onnxruntime"

    def __init__(self) -> None:
        try:
            import onnx  # noqa: F401
            import onnxruntime
            import onnxscript  # noqa: F401 - torch's exporter needs it
        except ImportError as error:
            raise UserError(
                f"format=onnx needs {error.name}, which is not installed: "
                "pip install 'ganforge[onnx]'"
            ) from error
        self._runtime = onnxruntime

    def write(self, exported: ExportedProgram, path: Path, program: Program, facts: str) -> None:
        """Inputs and outputs carry their names, free sizes theirs."""
        with _quiet():
            made = torch.onnx.export(
                exported, (), dynamo=True, opset_version=OPSET, verbose=False,
                input_names=list(program.inputs), output_names=[MADE],
            )  # fmt: skip
        proto: Any = made.model_proto
        names = {}
        for given in proto.graph.input:
            free = [dim for dim in given.type.tensor_type.shape.dim if dim.dim_param]
            names |= {
                dim.dim_param: name for dim, name in zip(free, (BATCH, HEIGHT, WIDTH), strict=False)
            }
        for value in (*proto.graph.input, *proto.graph.output):
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_param in names:
                    dim.dim_param = names[dim.dim_param]
        del proto.graph.value_info[:]  # of sizes inside, under their former names
        proto.producer_name, proto.producer_version = "ganforge", __version__
        entry = proto.metadata_props.add()
        entry.key, entry.value = "ganforge", facts
        path.write_bytes(proto.SerializeToString())

    def open(self, path: Path) -> Answer:
        """On one thread of the CPU."""
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        session = self._runtime.InferenceSession(str(path), options, providers=providers)
        names = [given.name for given in session.get_inputs()]

        def answer(*inputs: Tensor) -> Tensor:
            feed = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
            return torch.from_numpy(session.run([MADE], feed)[0])

        return answer


class TorchExport:
    """What ``torch.export.load`` reads, and AOTInductor compiles."""

    ending, told, runtime = ".pt2", "torch.export", "the program"

    def write(self, exported: ExportedProgram, path: Path, program: Program, facts: str) -> None:  # noqa: ARG002
        """The archive holds ``facts`` as an extra file."""
        torch.export.save(exported, path, extra_files={"ganforge.json": facts})

    def open(self, path: Path) -> Answer:
        """The file as it is read again."""
        module = torch.export.load(path).module()

        def answer(*inputs: Tensor) -> Tensor:
            with torch.no_grad():
                return module(*inputs)

        return answer


@dataclass(frozen=True)
class Written:
    """A program on disk: how far it is from the run, and what one picture costs either way."""

    path: Path
    signature: str
    difference: float
    seconds: float
    seconds_of_run: float


def write_programs(
    loaded: LoadedRun,
    writer: Writer,
    output: Path,
    *,
    uint8: bool = False,
    overwrite: bool = False,
    terms: str | None = None,
) -> list[Written]:
    """Write a run's programs; they appear only when they answer as the run does."""
    found = programs(loaded, uint8)
    stem = output.with_suffix("") if output.suffix == writer.ending else output
    places = [
        stem.with_name("_".join(filter(None, (stem.name, each.name))) + writer.ending)
        for each in found
    ]
    for place in places:
        if place.is_dir() or (place.exists() and not overwrite):
            raise UserError(f"{place} is there already: choose another output, or overwrite=true")
    with ExitStack() as stack:
        temporary = [stack.enter_context(atomic_path(place)) for place in places]
        return [
            _write(loaded, writer, program, file, place, terms)
            for program, file, place in zip(found, temporary, places, strict=True)
        ]


def _write(
    loaded: LoadedRun, writer: Writer, program: Program, file: Path, place: Path, terms: str | None
) -> Written:
    facts = json.dumps(_facts(loaded, program, terms), ensure_ascii=False)
    with _quiet():
        writer.write(program.exported(), file, program, facts)
    answer = writer.open(file)
    differences = [_difference(loaded, program, answer, case) for case in program.cases()]
    apart = max(differences)
    if not all(each <= TOLERANCE for each in differences):  # nor where one is no number
        raise UserError(
            f"{place.name} would differ from {loaded.run.folder} by {apart:.2g} in [-1, 1], where "
            f"{TOLERANCE} is allowed: nothing was written; take format=safetensors"
        )
    one = next(program.cases())
    own = [_as_float(each).to(loaded.module.device) for each in one]
    with evaluating(loaded.module), torch.no_grad(), _one_thread():
        seconds_of_run = _seconds(lambda: program.answer(*own).cpu())
        seconds = _seconds(lambda: answer(*one))
    return Written(place, program.signature(), apart, seconds, seconds_of_run)


def _facts(loaded: LoadedRun, program: Program, terms: str | None) -> Mapping[str, Any]:
    """What the file tells of itself."""
    return {
        "ganforge": __version__,
        "run": loaded.run.folder.name,
        "step": loaded.step,
        "averaged_weights": loaded.ema,
        "data": loaded.config.data.name,
        "direction": program.name or None,
        "signature": program.signature(),
        "classes": loaded.classes,
        "license": terms,
    }


def _difference(
    loaded: LoadedRun, program: Program, answer: Answer, case: Iterable[Tensor]
) -> float:
    """The largest in ``[-1, 1]``, beyond what rounding to uint8 explains."""
    case = tuple(case)
    with evaluating(loaded.module), torch.no_grad():
        floats = (_as_float(each).to(loaded.module.device) for each in case)
        wanted = program.answer(*floats).float().clamp(-1, 1).cpu()
    made = answer(*case)
    if made.shape != wanted.shape:
        return float("inf")
    apart = (_as_float(made) - wanted).abs().max().item()
    return max(0.0, apart - HALF_LEVEL) if made.dtype == torch.uint8 else apart


def _as_float(values: Tensor) -> Tensor:
    return to_float(values) if values.dtype == torch.uint8 else values


def _seconds(call: Callable[[], object]) -> float:
    """The median of some calls, the first one left out."""
    call()
    times: list[float] = []
    while len(times) < MOST_TIMED and sum(times) < SECONDS:
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return median(times)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Times that do not depend on what else the cores do at the moment."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters tell of what they do at length, and warn of what is meant."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
