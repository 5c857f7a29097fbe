"""The event loops on which front ends are tested: uvloop, which serves, and asyncio's own, which serves where uvloop is
missing.

Code that parses, decides and answers does not depend on the loop. Tests of code that does are marked `transport`: tests
of connections that end, stall, flood or are read slowly. They run on both loops, all others on uvloop.
"""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def loops_of(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the loops that a test runs on, for the hook of pytest-asyncio."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    if item.get_closest_marker("transport") is not None:
        loops["asyncio"] = asyncio.SelectorEventLoop
    return loops
