"""The operator's calls in the API server's audit log."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cluster.release import NAMESPACE

OPERATOR = f"system:serviceaccount:{NAMESPACE}:pannier-operator"
_WATCH = "watch"


class AuditLog:
    """The calls since a mark that the caller sets."""

    def __init__(self, file: Path):
        self._file = file
        self._mark = 0

    def mark(self) -> None:
        self._mark = self._file.stat().st_size

    def calls(self, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> Counter[str]:
        """The operator's calls since the mark, such as `patch pods`; a watch, one call that lasts, is not counted."""
        return Counter(_name(entry) for entry in self._entries() if entry["verb"] != _WATCH and wanted(entry))

    def _entries(self) -> Iterator[dict[str, Any]]:
        with self._file.open("rb") as file:
            file.seek(self._mark)
            for line in file:
                if line.endswith(b"\n") and OPERATOR.encode() in line:
                    entry = json.loads(line)
                    if entry["user"]["username"] == OPERATOR and "objectRef" in entry:
                        yield entry


def _name(entry: dict[str, Any]) -> str:
    reference = entry["objectRef"]
    parts = [reference["resource"], reference.get("subresource", "")]
    return f"{entry['verb']} {'/'.join(filter(None, parts))}"
