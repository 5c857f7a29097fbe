"""How each component is: what the metadata, the health answer and the log say of it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Standing = Literal["ready", "waiting", "refused", "hidden"]
"""waiting: its server has not answered yet. refused: the component is wrong. hidden: another app's."""


class ComponentState(Struct, frozen=True):
    """One component at one moment."""

    name: str
    type: str
    version: str
    state: Standing
    why: str = ""
    """Why it is not ready; of a ready one, why its latest change is not served."""
    capabilities: tuple[str, ...] = ()
    """Dapr's words for what the store can do, ACTOR included."""
