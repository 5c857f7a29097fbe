"""The state of each component, as shown by the metadata, the health endpoint and the log."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

ComponentPhase = Literal["ready", "waiting", "refused", "hidden"]
"""waiting: its server has not answered yet. refused: the component is invalid. hidden: scoped to other apps."""


class ComponentState(Struct, frozen=True):
    """The state of one component."""

    name: str
    type: str
    version: str
    state: ComponentPhase
    why: str = ""
    """Why it is not ready or, if it is ready, why its latest change is not served."""
    capabilities: tuple[str, ...] = ()
    """The store's capabilities as Dapr names them, including ACTOR."""
