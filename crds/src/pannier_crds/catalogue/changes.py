"""The field of stores whose database may report changes, or be asked for all ETags again and again."""

from __future__ import annotations

from typing import Final

from pannier_crds.catalogue.model import Field

CHANGES: Final = Field(
    "changes",
    "choice",
    description="How the sidecar learns of changes of keys while somebody watches them: push, the database reports "
    "them; poll, all ETags are read again at intervals",
    default="push",
    choices=("push", "poll"),
)
