"""What is sent to a component for each call, and what its answers mean. Keys and values are sent as they are stored."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from pannier_crds.secret import reveal
from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.requests import Delete, Set
from pannier_sidecar.state.store import StoredValue
from pannier_sidecar.state.writing import TTL_FIELD

from . import messages
from .messages import (
    DeleteRequest,
    Etag,
    GetRequest,
    InitRequest,
    MetadataRequest,
    SetRequest,
    StateOptions,
    TransactionalStateOperation,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.requests import Get, Write

    from .messages import BulkStateItem, GetResponse
    from .settings import PluggableSettings

EXPIRY_FIELD: Final = "ttlExpireTime"
_CONTENT_TYPE: Final = "contentType"
_MAX_ETAG_CHARS: Final = 4096


def init_request(settings: PluggableSettings) -> InitRequest:
    return InitRequest(MetadataRequest({name: reveal(value) for name, value in settings.properties.items()}))


def get_request(get: Get) -> GetRequest:
    return GetRequest(get.key, dict(get.metadata), messages.STRONG if get.strong else messages.UNSPECIFIED)


def set_request(write: Set) -> SetRequest:
    """Return the request; the expiry is that of the write, whatever its metadata says."""
    metadata = _without_ttl(write.metadata)
    if write.ttl is not None:
        metadata[TTL_FIELD] = str(write.ttl)
    kind = metadata.get(_CONTENT_TYPE, "")
    return SetRequest(write.key, write.value, _etag(write), metadata, _options(write), kind)


def delete_request(write: Delete) -> DeleteRequest:
    return DeleteRequest(write.key, _etag(write), _without_ttl(write.metadata), _options(write))


def operation(write: Write) -> TransactionalStateOperation:
    if isinstance(write, Set):
        return TransactionalStateOperation(set=set_request(write))
    return TransactionalStateOperation(delete=delete_request(write))


def stored_value(
    found: GetResponse | BulkStateItem, settings: PluggableSettings, *, has_etags: bool
) -> StoredValue | None:
    """Return what is stored; None if the key is absent: then the component sends neither value nor ETag.

    Raises StoreRefusedError if it sends no ETag although it claims to keep them, or one that cannot be sent back.
    """
    etag = found.etag.value if found.etag is not None else ""
    if not etag and not found.data:
        return None
    if not has_etags:
        return StoredValue(found.data, "", _expiry(found.metadata))
    if not etag or len(etag) > _MAX_ETAG_CHARS:
        said = "an ETag that is too long" if etag else "none for a value"
        raise StoreRefusedError(f"{settings.where} claims to keep ETags, but it gave {said}")
    return StoredValue(found.data, etag, _expiry(found.metadata))


def _expiry(metadata: Mapping[str, str]) -> int | None:
    """Return when the value expires, as Unix time; None if the component does not say so in Dapr's form."""
    try:
        return round(datetime.fromisoformat(metadata[EXPIRY_FIELD]).timestamp())
    except (KeyError, ValueError, OverflowError):
        return None


def _etag(write: Write) -> Etag | None:
    return None if write.if_match is None else Etag(write.if_match)


def _options(write: Write) -> StateOptions:
    return StateOptions(
        messages.FIRST_WRITE if write.is_conditional else messages.LAST_WRITE,
        messages.STRONG if write.strong else messages.UNSPECIFIED,
    )


def _without_ttl(metadata: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in metadata.items() if name.lower() != TTL_FIELD.lower()}
