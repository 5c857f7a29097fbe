"""The sidecar is the one that browsers meet."""

from hostile.browsers.conftest import laptop

__all__ = ["laptop"]
