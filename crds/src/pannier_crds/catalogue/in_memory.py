"""`state.in-memory`: state that ends with the process."""

from __future__ import annotations

from typing import Final

from pannier_crds.catalogue import every_state_store
from pannier_crds.catalogue.model import ComponentType

TYPES: Final = (
    ComponentType(
        "state.in-memory",
        title="Memory of the sidecar",
        features=("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE"),
        fields=every_state_store.FIELDS,
    ),
)
