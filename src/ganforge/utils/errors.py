"""What may end a command: each is one sentence and an exit code."""

import shlex
from pathlib import Path


class GanforgeError(Exception):
    """Base of the errors that the command line prints as one sentence, without a stack trace."""

    exit_code = 1


class UserError(GanforgeError):
    """The command, the configuration or the data asks for something impossible."""

    exit_code = 2


class DamagedFileError(GanforgeError):
    """A file that exists cannot be read as what it should be."""

    exit_code = 3


class DivergedError(GanforgeError):
    """Training broke down for good; what was good of it is saved."""

    exit_code = 4


class LostProcessError(GanforgeError):
    """Another of the processes that train together has ended: this one cannot go on alone."""

    def __init__(self, rank: int, processes: int, folder: Path) -> None:
        super().__init__(
            f"process {rank} of {processes} (counted from 0) lost its connection to another one, "
            "which has ended or cannot be reached: see that one's message, then go on with the "
            f"same command and resume=auto hydra.run.dir={shlex.quote(str(folder))}"
        )


class PreemptedError(GanforgeError):
    """A signal asked a run to stop; its state is saved. The exit code asks to try again later.

    75 is ``EX_TEMPFAIL`` of sysexits.h. Where the state of ``step`` was worth nothing, ``saved`` is
    False, and the one before it stays.
    """

    exit_code = 75

    def __init__(self, signal: str, step: int, folder: Path, saved: bool = True) -> None:
        kept = (
            "all is saved" if saved else "which broke its weights (NaN): the state before is kept"
        )
        super().__init__(
            f"{signal}: stopped after step {step}, {kept}; go on with "
            f"ganforge train resume={shlex.quote(str(folder))}"
        )
        self.signal = signal
