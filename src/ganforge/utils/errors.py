"""The two errors a user may meet: each is one sentence and an exit code."""


class GanforgeError(Exception):
    """Base of the errors that the command line prints as one sentence, without a stack trace."""

    exit_code = 1


class UserError(GanforgeError):
    """The command, the configuration or the data asks for something impossible."""

    exit_code = 2


class DamagedFileError(GanforgeError):
    """A file that exists cannot be read as what it should be."""

    exit_code = 3
