"""What can go wrong with a call of the Kubernetes API, whatever the client library raises."""

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
    """A call failed. As it is: nothing answered, or not to the end, so nobody knows what was done."""

    def __init__(self, reason: str):
        """`reason`: one word, such as the name of the library's exception."""
        super().__init__(f"the API server does not answer ({reason})")


class ApiRefusedError(ApiError):
    """The API server says no.

    Its text does not repeat the server's message, which may quote what was sent to it, a Secret's data among it, and in
    which an admission webhook of somebody else's may write anything. `message` is read to find out what refuses, and
    never shown.
    """

    def __init__(self, status: int, message: str = "", reason: str = ""):
        """`status` is HTTP's, `reason` Kubernetes' word for it, such as AlreadyExists."""
        word = f" {reason}" if _REASON.fullmatch(reason) else ""
        lacking = _LACKING_RIGHT.search(message)
        right = f": the operator has no right to {lacking[1]} {lacking[2]}" if lacking else ""
        Exception.__init__(self, f"HTTP status {status}{word}{right}")
        self.status = status
        self.message = message

    @property
    def is_namespace_terminating(self) -> bool:
        """Whether it was refused because the namespace is being deleted, and everything in it."""
        return self.status == FORBIDDEN and "is being terminated" in self.message
