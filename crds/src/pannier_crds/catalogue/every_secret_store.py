"""The fields that every secret store on another machine takes. They are Pannier's own."""

from __future__ import annotations

from typing import Final

from pannier_crds.catalogue.model import Field
from pannier_crds.catalogue.timeouts import timeout

FIELDS: Final = (
    Field(
        "refreshInterval",
        "duration",
        description="Time between two reads of a secret that components refer to",
        default=60.0,
        bare_unit="s",
        must_be_positive=True,
    ),
    timeout(10.0),
)
