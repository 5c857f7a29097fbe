"""What the errors of TITLE and of its client library mean: the StoreError to raise, with what to change."""

from __future__ import annotations

from typing import Final

from pannier_sidecar.network.reasons import reason
from pannier_sidecar.state.errors import StoreError, unanswered

CLIENT_ERRORS: Final = (OSError,)  # TimeoutError is one


def translate(error: Exception, where: str, *, is_write: bool) -> StoreError:
    """Return the error to raise. `is_write`: the call may have changed something."""
    what = f"{where} cannot be reached: {reason(error)}; check host"
    return unanswered(what, may_have_changed=is_write)
