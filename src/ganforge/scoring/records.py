"""Where the records of an evaluation are written: no evaluation replaces another one."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from ganforge.metrics.protocol import Score
from ganforge.utils.files import write_json


def write_scores(
    scores: Sequence[Score], folder: Path, output: str | None, prefix: str = ""
) -> Path:
    """Write records to ``output``, else into ``folder`` under a name of their own."""
    path = Path(output) if output is not None else folder / f"{prefix}{file_name(scores)}"
    write_json([score.to_dict() for score in scores], path)
    return path


def file_name(scores: Sequence[Score]) -> str:
    """The first score, its extractor, and a hash of what was measured how, draws included.

    The same evaluation repeated has the same name.
    """
    what = [(score.name, score.protocol.to_dict(), score.step) for score in scores]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
    return f"{scores[0].name}_{scores[0].protocol.extractor}_{digest[:8]}.json"
