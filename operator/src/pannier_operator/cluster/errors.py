"""Errors of calls to the Kubernetes API, whatever the HTTP library raises."""

from __future__ import annotations

import re
from typing import Final

FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
CONFLICT: Final = 409
TOO_MANY_REQUESTS: Final = 429

_REASON: Final = re.compile("[A-Za-z]{1,40}")
_LACKING_RIGHT: Final = re.compile(r'cannot ([a-z]{1,20}) resource "([a-z./-]{1,100})"')


class ApiError(Exception):
    """A call failed. For an error of this class itself, no complete answer came, and the call may have succeeded."""

    def __init__(self, reason: str):
        """`reason`: one word, such as the name of the library's exception."""
        super().__init__(f"the API server does not answer ({reason})")


class ApiRefusedError(ApiError):
    """The API server refused the call.

    The text of this error leaves the server's message out: it may quote the request, a Secret's data included, and
    another party's admission webhook can write anything into it. `message` is only parsed to find out what refuses, and
    never shown.
    """

    def __init__(self, status: int, message: str = "", reason: str = ""):
        """`status` is the HTTP status, `reason` the Status object's `reason`, such as AlreadyExists."""
        word = f" {reason}" if _REASON.fullmatch(reason) else ""
        lacking = _LACKING_RIGHT.search(message)
        right = f": the operator has no right to {lacking[1]} {lacking[2]}" if lacking else ""
        Exception.__init__(self, f"HTTP status {status}{word}{right}")
        self.status = status
        self.message = message

    @property
    def is_namespace_terminating(self) -> bool:
        """Whether the call was refused because its namespace is being deleted."""
        return self.status == FORBIDDEN and "is being terminated" in self.message
