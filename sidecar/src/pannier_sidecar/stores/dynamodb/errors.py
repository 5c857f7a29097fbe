"""Translates DynamoDB's errors, and those of the connection to it, into words that say what to change.

Codes: DynamoDB, "Error handling",
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from pannier_sidecar.clouds.aws_answers import (
    BAD_CREDENTIALS,
    CHECK_KEYS,
    NotUnderstoodError,
    code,
    kind,
    status,
    was_not_sent,
    why,
    wrong_profile,
)
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError, unanswered

from .layout import MAX_ITEM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .layout import Layout


_NOT_NOW: Final = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
"""Nothing was done, and another attempt may succeed."""
_REASONS_NOT_NOW: Final = frozenset({"TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"})
"""The same, for one operation of a transaction."""
_OTHER_KEYS: Final = (
    "does not match the schema",
    "Missing the key",
    "required keys",  # here and below: DynamoDB Local
    "conditions on the keys",
)
"""Texts in DynamoDB's messages for a table that has another key than the call."""


def is_answer(error: BaseException | None) -> bool:
    """Return whether DynamoDB sent the error, even if only to say that it has too much to do."""
    return isinstance(error, ClientError)


def reasons(error: Exception) -> list[str]:
    """Return why a transaction was cancelled: a code for each operation, which is the text `None` if it did
    not fail.
    """
    return [str(reason.get("Code", "None")) for reason in _cancellation(error)]


def _cancellation(error: Exception) -> list[dict[str, str]]:
    return list(error.response.get("CancellationReasons", [])) if isinstance(error, ClientError) else []


class ConditionNotMetError(Exception):
    """A precondition did not hold, so nothing was written."""

    def __init__(self, places: list[int]):
        """`places` are the indexes, in the transaction, of the operations whose conditions failed; a write
        has index 0.
        """
        super().__init__(places)
        self.places = places


def unmet_condition(error: Exception) -> ConditionNotMetError | None:
    """Return which conditions did not hold; None if the error has another cause."""
    if code(error) == "ConditionalCheckFailedException":
        return ConditionNotMetError([0])
    places = [place for place, reason in enumerate(reasons(error)) if reason == "ConditionalCheckFailed"]
    return ConditionNotMetError(places) if places else None


def has_done_nothing(error: Exception) -> bool:
    """Return whether the call was certainly not carried out, and may be repeated."""
    if isinstance(error, ClientError):
        failed = {reason for reason in reasons(error) if reason != "None"}
        return code(error) in _NOT_NOW or (bool(failed) and failed <= _REASONS_NOT_NOW)
    return was_not_sent(error)


def may_have_been_done(error: Exception) -> bool:
    """Return whether it is unknown if the call was carried out."""
    if isinstance(error, ClientError):
        return status(error) >= 500
    return isinstance(error, (HTTPClientError, NoConnection, NotUnderstoodError)) and not has_done_nothing(error)


def translate(error: Exception, where: str, *, is_write: bool, layout: Layout) -> StoreError:
    """Return the error to raise for an error of the client."""
    translated = _translate(error, layout, where, is_write)
    translated.__cause__ = error
    return translated


def _translate(error: Exception, layout: Layout, where: str, is_write: bool) -> StoreError:
    if isinstance(error, NotUnderstoodError):
        return _not_understood(where, is_write=is_write)
    if may_have_been_done(error):
        return unanswered(f"{where} failed ({kind(error)})", may_have_changed=is_write)
    if has_done_nothing(error):
        return StoreUnavailableError(f"{where} can't do it now: {why(error)}")
    if wrong := wrong_profile(error):
        return StoreRefusedError(wrong)
    if isinstance(error, ClientError):
        return StoreRefusedError(
            f"{where} refused the call ({kind(error)}); {_advice(error, layout)}".removesuffix("; ")
        )
    return StoreRefusedError(f"the AWS client can't make the call ({kind(error)}); correct region, endpoint and table")


def _not_understood(where: str, *, is_write: bool) -> StoreError:
    """Return the error for a call whose answer is not one of DynamoDB's."""
    return unanswered(f"{where} gave an answer that is not DynamoDB's; check endpoint", may_have_changed=is_write)


@contextmanager
def reading_answer(*, is_write: bool = False) -> Iterator[None]:
    """Raise a StoreError if reading an answer raises a LookupError: then the answer is not DynamoDB's."""
    try:
        yield
    except LookupError as error:
        raise _not_understood("DynamoDB", is_write=is_write) from error


def _message(error: ClientError) -> str:
    of_operations = [str(reason["Message"]) for reason in _cancellation(error) if reason.get("Message")]
    return "; ".join(of_operations) or str(error.response.get("Error", {}).get("Message", "")) or code(error)


def _advice(error: ClientError, layout: Layout) -> str:
    name, message = code(error), _message(error)
    if name in BAD_CREDENTIALS:
        return CHECK_KEYS
    if name == "AccessDeniedException":
        return f"allow it on table {layout.shown_table} in the policy of this identity"
    if name == "ResourceNotFoundException":
        key = layout.shown_key
        return (
            f"check table and region, or create it: aws dynamodb create-table --table-name {layout.shown_table} "
            f"--attribute-definitions AttributeName={key},AttributeType=S "
            f"--key-schema AttributeName={key},KeyType=HASH --billing-mode PAY_PER_REQUEST"
        )
    if any(words in message for words in _OTHER_KEYS):
        return (
            f"set partitionKey to the table's partition key (it is {layout.shown_key!r} now); "
            "it must be of type String, without a sort key"
        )
    if "size" in message.lower():
        return f"the value is too large: DynamoDB holds {MAX_ITEM} bytes an item"
    return ""
