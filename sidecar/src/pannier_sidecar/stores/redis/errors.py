"""What Redis' error replies mean: the StoreError to raise, and whether the call may be tried again.

Messages show only known codes and commands of a reply, because its other words may contain a password that was sent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError

if TYPE_CHECKING:
    from hiredis import ReplyError


class LoginRefusedError(StoreRefusedError):
    """The server takes neither this user nor this password."""


# Before version 7, an error inside a script came wrapped: ERR Error running script (...): @user_script: 3: -OOM ...
_WRAPPED: Final = re.compile(r"^ERR Error running script.*?-?\b([A-Z]{3,}) ")

NOT_PRIMARY: Final = frozenset({"READONLY", "MASTERDOWN", "LOADING"})
"""The server did nothing, and is not (yet) the primary: it has to be found again."""
IN_TRANSITION: Final = frozenset({"TRYAGAIN", "BUSY"})
"""The server did nothing, and may do it in a moment."""
REDIRECTING: Final = frozenset({"MOVED", "ASK", "CLUSTERDOWN"})
"""Another node of the Cluster has the key, or none has it yet."""
NOT_SIGNED_IN: Final = frozenset({"NOAUTH", "WRONGPASS"})
"""The server did nothing, and wants a login."""

_ADVICE: Final = {
    "NOAUTH": "set redisPassword (and redisUsername)",
    "WRONGPASS": "check redisUsername and redisPassword",
    "NOPERM": "grant it with ACL SETUSER",
    "OOM": "raise maxmemory, choose an eviction policy, or store less",
    "MISCONF": "look why the server cannot save to its disk",
    "NOREPLICAS": "min-replicas-to-write asks for more replicas than are connected",
    "MOVED": "this is a Redis Cluster: set redisType: cluster",
    "BUSY": "a script of another client is blocking the server",
}
_OTHER_CODES: Final = frozenset({"ERR", "WRONGTYPE", "NOSCRIPT", "EXECABORT", "NOTBUSY", "UNKILLABLE", "NOAUTH"})
_CODES: Final = frozenset(_ADVICE) | NOT_PRIMARY | IN_TRANSITION | REDIRECTING | _OTHER_CODES
_DETAILS: Final = {
    "max number of clients": "max number of clients reached",
    "invalid password": "it knows no such user or another password",
    "no password is set": "it has no password, and one was sent",
    "without any password configured": "it has no password, and one was sent",
    "operation not permitted": "it wants a password",
    "DB index": "it has no such database",
    "unknown command": "it does not know a command that is needed",
    "unknown subcommand": "it does not know a command that is needed",
    "cluster support disabled": "it is no cluster",
    "syntax error": "it does not understand a command that is needed",
    "maxmemory": "it has no memory left",
}
"""Our words for an error, by a text in its reply."""
COMMANDS: Final = frozenset(
    "auth client cluster del eval evalsha exists get hello hget hincrby hmget hset info persist pexpire ping "
    "psubscribe pttl role scan script select sentinel set subscribe time type wait json.get json.set".split()
)
"""Commands that the store uses, and that its user may be forbidden to run."""
_FORBIDDEN: Final = re.compile(r"'([a-z]{2,12})(?:\|[a-z]{2,12})?' command")

_PASSING: Final = IN_TRANSITION | NOT_PRIMARY | {"CLUSTERDOWN", "NOREPLICAS"}


def code(text: str) -> str:
    """Return the code of an error's text, such as `OOM`; `ERR` if there is no other."""
    wrapped = _WRAPPED.match(text)
    if wrapped:
        return wrapped[1]
    return text.partition(" ")[0]


def translate(error: ReplyError, what: str = "Redis refused") -> StoreError:
    """Return the StoreError that an error reply means; its message says what to change."""
    text = str(error)
    kind = code(text)
    advice = _advice(kind, text)
    message = f"{what}: {described(text)}" + (f"; {advice}" if advice else "")
    is_temporary = kind in _PASSING or "max number of clients" in text
    return StoreUnavailableError(message) if is_temporary else StoreRefusedError(message)


def described(text: str) -> str:
    """Return an error's text for messages: its code if that is known, and our words for the rest."""
    kind = code(text)
    detail = next((ours for theirs, ours in _DETAILS.items() if theirs in text), "")
    command = _FORBIDDEN.search(text)
    if command and command[1] in COMMANDS:
        detail = f"this user may not run the '{command[1]}' command"
    elif kind == "NOPERM":
        detail = "this user may not use this key" if "key" in text else "this user may not do it"
    shown = kind if kind in _CODES else "an error of another kind"
    return f"{shown} {detail}" if detail else shown


def is_command_forbidden(text: str) -> bool:
    """Return whether the user may not run the command at all, whatever the key."""
    return text.startswith("NOPERM") and " to run " in text


def _advice(kind: str, text: str) -> str:
    if "invalid password" in text or "no password is set" in text or "without any password configured" in text:
        return _ADVICE["WRONGPASS"]
    return _ADVICE.get(kind, "")
