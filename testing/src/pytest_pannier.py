"""The fixture `pannier` of pytest: a sidecar without state or faults for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier.testing import LocalPannier


@pytest.fixture(scope="session")
def pannier_of_the_session() -> Iterator[LocalPannier]:
    """Start one sidecar for all tests: `pannier` empties it for each."""
    from pannier.testing import LocalPannier  # runs without such tests need not load a sidecar

    with LocalPannier() as local:
        yield local


@pytest.fixture
def pannier(pannier_of_the_session: LocalPannier, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalPannier]:
    """Give a test a sidecar without state; SDKs find it by the environment's variables, such as DAPR_HTTP_PORT."""
    pannier_of_the_session.reset()
    for name, value in pannier_of_the_session.environment.items():
        monkeypatch.setenv(name, value)
    yield pannier_of_the_session
    pannier_of_the_session.reset()
