"""What tests of the wire share."""

import pytest

from pannier_sidecar import serving


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the server look at its time limits twenty times a second."""
    monkeypatch.setattr(serving, "TICK_S", 0.05)
