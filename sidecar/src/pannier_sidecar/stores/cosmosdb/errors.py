"""Translates the client's errors into words that say what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError

from pannier_sidecar.clouds.azure_answers import wrong_identity
from pannier_sidecar.network.reasons import reason
from pannier_sidecar.state.errors import (
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
    unanswered,
)

if TYPE_CHECKING:
    from .settings import CosmosDBSettings

CLIENT_ERRORS: Final = (AzureError, TimeoutError, ValueError)
"""All that the client raises; ValueError where masterKey is not base64."""


class NotUnderstoodError(Exception):
    """The answer is not one of Cosmos DB's."""


PARSE_ERRORS: Final = (NotUnderstoodError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What else the client raises for an answer that is not Cosmos DB's: it takes the shape of JSON for granted."""
WHEN_CLOSED: Final = (RuntimeError, AssertionError, AttributeError)
"""What the client raises if it is closed while a call is in flight."""

NOT_FOUND: Final = 404
ABSENT: Final = (None, 0)
"""Sub-statuses of 404 for an absent item; others are for the container, or for a replica that lags."""
REFUSED_WRITES: Final = (404, 409, 412)
"""Statuses of the answer when a precondition does not hold."""

_THROTTLED: Final = 429
_TEMPORARY: Final = frozenset({408, 410, 429, 449})
_NOT_DONE: Final = frozenset({410, 429, 449})
_ADVICE: Final = {
    401: "does not accept the key; correct masterKey, and see that url is that of the same account",
    403: "does not allow it; give the identity the role Cosmos DB Built-in Data Contributor, "
    "or the network this sidecar's address",
    404: "is not there; make it with /partitionKey for its partition key: az cosmosdb sql container create "
    "--partition-key-path /partitionKey --ttl -1 ...",
    413: "takes items and transactions of up to 2 MiB, and this is too large",
}


def is_absent(error: HttpResponseError) -> bool:
    """Return whether an answer means that the item is not there."""
    return error.status_code == NOT_FOUND and getattr(error, "sub_status", None) in ABSENT


def is_throttled(error: BaseException | None) -> bool:
    """Return whether the account answers that it has too much to do."""
    return isinstance(error, HttpResponseError) and error.status_code == _THROTTLED


def translate(error: Exception, settings: CosmosDBSettings, *, is_write: bool) -> StoreError:
    """Return the error to raise for an error of the client. `is_write`: the call may have changed something."""
    translated = _translate(error, settings)
    if not is_write or not isinstance(translated, StoreUnavailableError) or _was_not_done(error):
        return translated
    return OutcomeUnknownError(str(translated))


def not_understood(settings: CosmosDBSettings, *, is_write: bool) -> StoreError:
    """Return the error to raise for an answer that is not one of Cosmos DB's."""
    return unanswered(_not_understood(settings), may_have_changed=is_write)


def _not_understood(settings: CosmosDBSettings) -> str:
    return f"{settings} gave an answer that is not Cosmos DB's; check url"


def _translate(error: Exception, settings: CosmosDBSettings) -> StoreError:
    if isinstance(error, TimeoutError):
        return StoreUnavailableError(f"{settings} gave no answer within {settings.timeout:g} s")
    if wrong := wrong_identity(error):
        return StoreRefusedError(wrong)
    if isinstance(error, HttpResponseError) and error.status_code:
        if error.status_code < 400:  # its body was cut off, or is no JSON
            return StoreUnavailableError(_not_understood(settings))
        return _of_status(error, error.status_code, settings)
    if isinstance(error, AzureError):
        return StoreUnavailableError(f"{settings} can't be reached: {_why(error)}")
    return StoreRefusedError(f"{settings} can't be used as the component says; correct url and masterKey")


def _was_not_done(error: Exception) -> bool:
    if isinstance(error, HttpResponseError):
        return error.status_code in _NOT_DONE
    return isinstance(error, ServiceRequestError)


def _of_status(error: HttpResponseError, status: int, settings: CosmosDBSettings) -> StoreError:
    sub_status = getattr(error, "sub_status", None)
    code = f"{status}/{sub_status}" if isinstance(sub_status, int) and sub_status else str(status)
    if status == 429:
        return StoreUnavailableError(f"{settings} has no throughput left ({code}); give it more request units")
    if status in _TEMPORARY or status >= 500 or (status == NOT_FOUND and getattr(error, "sub_status", None) == 1002):
        return StoreUnavailableError(f"{settings} failed for now ({code})")
    return StoreRefusedError(f"{settings} {_ADVICE.get(status, 'refused the call')} ({code})")


def _why(error: AzureError) -> str:
    """Return why the account could not be reached, from the innermost error that the client wraps."""
    inner: BaseException = error
    for _ in range(5):
        further = getattr(inner, "os_error", None) or getattr(inner, "inner_exception", None) or inner.__cause__
        if not isinstance(further, BaseException) or further is inner:
            break
        inner = further
    return reason(inner)
