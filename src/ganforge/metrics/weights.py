"""Published weights: looked for in named places, then downloaded; else one sentence that helps."""

import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from ganforge.utils.errors import UserError
from ganforge.utils.files import atomic_path, file_sha256

TIMEOUT_SECONDS = 20
NO_DOWNLOAD = "features=cnn or features=efficientnet_lite0"


@dataclass(frozen=True)
class Published:
    """A file of weights. ``sha256`` is the beginning of its hash, empty where none is published.

    ``environment`` is the variable that may name the file.
    """

    what: str
    url: str
    environment: str
    sha256: str = ""
    file: str = ""

    @property
    def name(self) -> str:
        """What the file is called in the folder of weights."""
        return self.file or self.url.rsplit("/", 1)[1]

    def find(self, weights: str | Path | None, folder: Path) -> Path:
        """Look at ``weights``, at the environment, in ``folder``; download there if none is named.

        A named file that is missing is a UserError: no other is taken in its place.
        """
        named = weights or os.environ.get(self.environment)
        if named:
            path = Path(named).expanduser()
            if path.is_file():
                return path
            origin = "features.weights" if weights else self.environment
            raise UserError(
                f"There is no {self.what} weights file {path}, which {origin} names: put "
                f"{self.url} there, or choose {NO_DOWNLOAD}."
            )
        path = folder / self.name
        if not path.is_file():
            self._download(path)
        return path

    def _download(self, path: Path) -> None:
        try:
            with atomic_path(path) as temporary:
                with (
                    urllib.request.urlopen(self.url, timeout=TIMEOUT_SECONDS) as reply,
                    temporary.open("wb") as file,
                ):
                    while block := reply.read(1 << 20):
                        file.write(block)
                if not file_sha256(temporary).startswith(self.sha256):
                    raise OSError("what came is not the file that its name promises")
        except OSError as error:
            raise UserError(
                f"The {self.what} weights {path.name} are neither in {path.parent} nor can they be "
                f"downloaded ({error}): fetch {self.url} elsewhere and put the file into "
                f"{path.parent} (or name it by features.weights=PATH or {self.environment}), or "
                f"choose an extractor that needs no download: {NO_DOWNLOAD}."
            ) from error
