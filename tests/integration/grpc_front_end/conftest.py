"""Every test of the wire runs on both event loops: uvloop, which serves, and asyncio's own, where uvloop is missing."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

from pannier_sidecar import serving


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.SelectorEventLoop}


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server check its time limits twenty times a second."""
    monkeypatch.setattr(serving, "TICK_S", 0.05)
