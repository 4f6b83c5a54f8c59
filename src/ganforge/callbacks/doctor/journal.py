"""What the doctor said and when: each finding once when it begins, once when it is over."""

import json
from pathlib import Path
from typing import Any

from ganforge.callbacks.doctor.vitals import Finding
from ganforge.utils.files import atomic_path

Event = dict[str, Any]


class Journal:
    """Writes ``diagnosis.jsonl``, one record an event.

    A finding is over when it was not seen for ``patience`` steps: one that flickers is told once.
    """

    def __init__(self, path: Path, patience: int = 200) -> None:
        self.path, self.patience = path, patience
        self.events: list[Event] = []
        self._open: dict[str, Event] = {}
        self._seen: dict[str, int] = {}

    @property
    def headline(self) -> str:
        """The newest finding that is not over, in a few words."""
        return list(self._open.values())[-1]["what"] if self._open else ""

    @property
    def found(self) -> list[Event]:
        """All findings, in order."""
        return [event for event in self.events if event["event"] == "found"]

    def enter(self, findings: dict[str, Finding | None], step: int, side: str = "") -> list[Event]:
        """Take what the rules say at a step, and return what is new."""
        new = []
        for rule, finding in findings.items():
            key = f"{rule}/{side}"
            if finding is not None:
                self._seen[key] = step
                if key not in self._open:
                    self._open[key] = _event(finding, step, side)
                    new.append(self._open[key])
            elif key in self._open and step - self._seen[key] >= self.patience:
                begun = self._open.pop(key)
                message = f"no longer so: {begun['what']}"
                new.append({**begun, "step": step, "event": "over", "message": message})
        self.events += new
        return new

    def note(self, finding: Finding, step: int) -> Event:
        """Take an event that neither lasts nor ends."""
        self.events.append(_event(finding, step, ""))
        return self.events[-1]

    def write(self) -> None:
        """Write all events; a resumed training takes back what was written after its checkpoint."""
        if not self.events and not self.path.exists():
            return
        with atomic_path(self.path) as temporary:
            lines = [json.dumps(event, ensure_ascii=False) + "\n" for event in self.events]
            temporary.write_text("".join(lines), encoding="utf-8")

    def state_dict(self) -> dict[str, Any]:
        """All events as JSON, and which of them last."""
        return {"events": json.dumps([self.events, self._open, self._seen])}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.events, self._open, self._seen = json.loads(state["events"])


def _event(finding: Finding, step: int, side: str) -> Event:
    where = f"critic {side}: " if side else ""
    return {
        "step": step,
        "event": "found",
        "name": finding.name,
        "side": side,
        "what": finding.what,
        "message": where + finding.message,
        "remedies": list(finding.remedies),
        "numbers": finding.numbers,
    }
