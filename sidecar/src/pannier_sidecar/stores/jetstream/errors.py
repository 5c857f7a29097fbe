"""What the errors of NATS and of nats-py mean: the StoreError to raise, with what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_sidecar.network.reasons import is_about_tls, reason
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreRefusedError, StoreUnavailableError

if TYPE_CHECKING:
    from .layout import ApiError
    from .settings import JetStreamSettings

NO_MESSAGE: Final = 10037
NO_STREAM: Final = 10059
WRONG_LAST: Final = frozenset({10071, 10164})
"""The last message of the key is another one; nothing was written."""

_NOT_NOW: Final = {
    10008: "its cluster has no leader for the bucket",
    10009: "its cluster has no leader for the bucket",
    10023: "it has too few resources",
}
_REFUSALS: Final = {
    10039: "JetStream is not enabled for this account; enable it there",
    10076: "JetStream is not enabled; start the server with -js",
    10054: "the value is larger than the bucket allows; raise its limit (nats kv edit --max-value-size)",
    10077: "the bucket is full; raise its limit (nats kv edit --max-bucket-size), or delete keys",
    10028: "the account has no memory left for JetStream; raise its limit",
    10047: "the account has no disk space left for JetStream; raise its limit",
    10002: "the account has no resources left for JetStream; raise its limit",
    10166: "the bucket lets no key expire; allow it (nats stream edit --allow-msg-ttl)",
    10165: "it takes no such ttlInSeconds; use another one",
    10109: "the bucket is sealed, so nobody can write to it; make another one",
}
_LOGIN: Final = "check the login in natsURL, or jwt and seedKey"
_OF_SERVERS: Final = {
    "authorization violation": f"it refuses the login; {_LOGIN}",
    "authentication expired": f"the login has expired; {_LOGIN}",
    "authentication revoked": f"the login was revoked; {_LOGIN}",
    "authentication timeout": f"it refuses the login; {_LOGIN}",
}


class NotEncryptedError(OSError):
    """The server does not want TLS, and the component does."""


class NotSentError(Exception):
    """The call was certainly not sent."""


class LostError(Exception):
    """The connection ended, or the time ran out, before the answer came."""


def translate(error: BaseException, settings: JetStreamSettings) -> StoreError:
    """Return the error to raise for a connection that could not be made."""
    where = settings.where
    if isinstance(error, NotEncryptedError):
        return StoreRefusedError(f"{where} does not offer TLS; write nats:// in natsURL, or enable TLS there")
    said = str(error).lower() if type(error).__module__.startswith("nats.") else ""
    for words, meaning in _OF_SERVERS.items():
        if words in said:
            return StoreRefusedError(f"{where} cannot be used: {meaning}")
    if "maximum connections" in said:
        return StoreUnavailableError(f"{where} has too many connections")
    if "maximum payload" in said:
        return StoreUnavailableError(f"{where} ended the connection: a message was too large")
    if isinstance(error, TimeoutError):
        return StoreUnavailableError(f"{where} did not answer within {settings.timeout:g} s")
    if isinstance(error, OSError) or is_about_tls(error):
        return StoreUnavailableError(f"{where} cannot be reached: {reason(error)}; check natsURL")
    return StoreUnavailableError(f"{where} does not answer as NATS does; check natsURL")


def may_not(subject: str, bucket: str, where: str) -> StoreRefusedError:
    """Return the error of a user who may not publish to a subject."""
    shown = f"$KV.{bucket}.>" if subject.startswith("$KV.") else subject
    return StoreRefusedError(f"the user may not publish to {shown} on {where}; grant it the publish permission")


def may_not_receive(where: str) -> StoreRefusedError:
    """Return the error of a user who cannot receive answers."""
    return StoreRefusedError(f"the user may not subscribe to _INBOX.> on {where}; grant it the subscribe permission")


def of_api(error: ApiError, settings: JetStreamSettings, *, is_write: bool) -> StoreError:
    """Return the error to raise for what JetStream answers."""
    where, bucket = settings.where, settings.bucket
    if error.err_code == NO_STREAM:
        return StoreRefusedError(f"{where} has no bucket {bucket}; make it: nats kv add {bucket}")
    if error.err_code in _REFUSALS:
        return StoreRefusedError(f"{where} refused the call: {_REFUSALS[error.err_code]}")
    if error.err_code in _NOT_NOW:
        return StoreUnavailableError(f"{where} cannot serve the call now: {_NOT_NOW[error.err_code]}")
    what = f"{where} failed (code {error.code}, err_code {error.err_code})"
    if 400 <= error.code < 500:
        return StoreRefusedError(what)
    return OutcomeUnknownError(what) if is_write else StoreUnavailableError(what)
