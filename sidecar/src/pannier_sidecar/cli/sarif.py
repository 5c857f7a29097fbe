"""The report of `pannier check` in SARIF 2.1.0 (OASIS), which code hosts show beside the lines that it is about."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pannier_sidecar import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pannier_crds.problems import Problem
    from pannier_sidecar.cli.check import Verdict

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_ENTRY: Final = re.compile(r"\[[^\]]*\]")


def sarif(verdicts: Iterable[Verdict]) -> dict[str, Any]:
    """Return the log of one run, as data that `json` can write."""
    results = [_result(verdict) for verdict in verdicts]
    rules = [{"id": rule} for rule in sorted({result["ruleId"] for result in results})]
    driver = {"name": "pannier check", "version": __version__, "rules": rules}
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def _result(verdict: Verdict) -> dict[str, Any]:
    problem = verdict.problem
    return {
        "ruleId": _rule(problem),
        "level": problem.severity,
        "message": {"text": str(problem)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(verdict.source)},
                    "region": {"startLine": problem.line or 1},
                }
            }
        ],
    }


def _rule(problem: Problem) -> str:
    """Return the field without the names in it: problems of the same field of all components have the same rule."""
    return _ENTRY.sub("", problem.field) or "document"


def _uri(source: str) -> str:
    """Return a path as SARIF wants it: relative to the folder that `pannier check` runs in, as a code host sees it."""
    path = PurePath(source)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
