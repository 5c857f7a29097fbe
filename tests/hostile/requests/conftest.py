"""The sidecar of the browser tests."""

from hostile.browsers.conftest import laptop

__all__ = ["laptop"]
