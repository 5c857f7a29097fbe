"""`--wait`: ends when the sidecar of this machine is ready, for start scripts and hooks (as `daprd --wait`)."""

from __future__ import annotations

import sys
import time
from http.client import HTTPConnection, HTTPException
from typing import Final

PATIENCE: Final = 60.0
"""Seconds, as in daprd."""
_PAUSE: Final = 0.1
_REQUEST_TIMEOUT: Final = 0.5


def wait_until_ready(port: int, patience: float = PATIENCE) -> int:
    """Return 0 as soon as the sidecar at that port has loaded its components, 1 if it has not within `patience`."""
    deadline = time.monotonic() + patience
    while not _is_ready(port):
        if time.monotonic() >= deadline:
            where = f"no sidecar was ready at 127.0.0.1:{port} within {patience:g} s"
            print(f"pannier: {where}; start one, or pass its --http-port", file=sys.stderr)
            return 1
        time.sleep(_PAUSE)
    return 0


def _is_ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=_REQUEST_TIMEOUT)
    try:
        connection.request("GET", "/v1.0/healthz/outbound")
        return connection.getresponse().status == 204
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
