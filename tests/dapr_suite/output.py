"""Reads what a test program of Go prints with -test.v: whether a case passed, and which assertions failed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TRACE = re.compile(r"\s+Error Trace:\s+(?:\S*/)?([^/\s]+:\d+)$")
_TEST = re.compile(r"\s+Test:\s")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case ended."""

    passed: bool
    lines: frozenset[str] = frozenset()
    """Where assertions failed, such as `basic.go:78`."""
    is_complete: bool = True
    """The case was carried out to its end, without a panic."""


def outcome_of(output: str, case: str) -> Outcome:
    result = re.search(rf"^\s+--- (PASS|FAIL): Test_Integration/{re.escape(case)} \(", output, re.MULTILINE)
    passed = result is not None and result[1] == "PASS"
    return Outcome(passed, frozenset(_failed(output)), is_complete=result is not None)


def _failed(output: str) -> Iterator[str]:
    """Yield where assertions failed. One that is tried until a time is over has no line `Test:` for each attempt."""
    place = ""
    for line in output.splitlines():
        if found := _TRACE.match(line):
            place = found[1]
        elif place and _TEST.match(line):
            yield place
            place = ""
