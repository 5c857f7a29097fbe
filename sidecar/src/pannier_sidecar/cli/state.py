"""`pannier state`: reads and changes state through a running sidecar."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from pannier_sidecar.cli import flags
from pannier_sidecar.cli.flag_values import port
from pannier_sidecar.cli.flags import Flag
from pannier_sidecar.cli.parsing import UsageError, parse_with_paths
from pannier_sidecar.cli.sidecar_client import DEFAULT_PORT, CallFailedError, SidecarClient, path_of
from pannier_sidecar.settings import from_environment
from pannier_sidecar.state.json_values import is_json

PAGE: Final = "1000"
_STATE: Final = "/v1.0/state"
_OWN: Final = "/v1.0-alpha1/state"


class Order(Struct, frozen=True):
    """What is asked of the sidecar."""

    client: SidecarClient
    store: str | None
    words: Sequence[str]
    """What follows the name of the action: a key, and perhaps values."""
    given: Mapping[str, Any]
    """The flags, by their settings."""

    def metadata(self) -> dict[str, str]:
        ttl = self.given.get("ttl")
        return {} if ttl is None else {"ttlInSeconds": str(ttl)}

    def headers(self) -> dict[str, str]:
        """Return the headers of a change."""
        return {"Idempotency-Key": self.given.get("once", "")}

    def fields(self, *names: str) -> dict[str, Any]:
        """Return the given flags of these names, and the TTL and the ETag, as bodies have them."""
        found = {name: self.given[name] for name in ("etag", *names) if name in self.given}
        return {**found, "metadata": self.metadata()}


class Action(Struct, frozen=True):
    """One action: `pannier state NAME ...`."""

    arguments: str
    """The words after the name, for messages: `...` means one or more of the one before, `[` that it may be missing."""
    run: Callable[[Order], int]
    """Do it, print the result, return the exit code. Raises CallFailedError and UsageError."""
    flags: tuple[Flag, ...] = ()


def state(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Do an action; return its exit code, 1 if the sidecar refuses it or does not answer. Raises UsageError."""
    parsed, words = parse_with_paths(arguments, flags.STATE)
    action = ACTIONS.get(words[0]) if words else None
    if action is None:
        raise UsageError(f"write pannier state {', '.join([*ACTIONS][:-1])} or {[*ACTIONS][-1]}")
    _check_flags(words[0], action, parsed.changes)
    _check_words(words[0], action, words[1:])
    client = SidecarClient(_port(parsed.changes, environment), from_environment(environment).api_token)
    try:
        return action.run(Order(client, parsed.changes.get("store"), words[1:], parsed.changes))
    except CallFailedError as error:
        print(f"pannier: {error}", file=sys.stderr)
        return 1


def _port(given: Mapping[str, Any], environment: Mapping[str, str]) -> int:
    if "http_port" in given:
        found: int = given["http_port"]
        return found
    text = environment.get("DAPR_HTTP_PORT") or str(DEFAULT_PORT)
    try:
        return port(text)
    except ValueError as error:
        raise UsageError(f"DAPR_HTTP_PORT in the environment can't be used; {error}") from None


def _check_flags(name: str, action: Action, given: Mapping[str, Any]) -> None:
    known = {flag.setting for flag in (*flags.SIDECAR, *action.flags)}
    for flag in flags.STATE:
        if flag.setting in given and flag.setting not in known:
            raise UsageError(f"--{flag.name} has no effect on 'pannier state {name}'; leave it out")


def _check_words(name: str, action: Action, words: Sequence[str]) -> None:
    wanted = action.arguments.split()
    minimum = sum(not word.startswith(("[", "...")) for word in wanted)
    maximum = len(words) if "..." in wanted else len(wanted)
    if not minimum <= len(words) <= maximum:
        raise UsageError(f"write pannier state {name} {action.arguments}")
    if not all(word.isascii() or _is_unicode(word) for word in words):
        raise UsageError("an argument is not UTF-8; give a value that is not text on standard input, as -")


def _is_unicode(word: str) -> bool:
    """Return whether a word of the command line was valid UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in word)


# --- the actions ------------------------------------------------------------------------------------------------------


def _get(order: Order) -> int:
    [key] = order.words
    reply = order.client.call("GET", path_of(_STATE, order.store, key))
    etag = reply.headers.get("etag")
    if reply.status == 204:
        raise CallFailedError(f"there is no key {key!r}")
    if order.given.get("output") == "json":
        expiry = reply.headers.get("metadata.ttlexpiretime")
        print(json.dumps({"key": key, **_value(reply.body), "etag": etag, "ttlExpireTime": expiry}))
    else:
        _print_value(reply.body)
    return 0


def _save(order: Order) -> int:
    key, value = order.words
    item = {"key": key, **order.fields()}
    body = b'[%b,"value":%b}]' % (json.dumps(item).encode().removesuffix(b"}"), _json_of(value))
    order.client.call("POST", path_of(_STATE, order.store), body=body, headers=order.headers())
    return 0


def _delete(order: Order) -> int:
    [key] = order.words
    headers = {"If-Match": order.given.get("etag", ""), **order.headers()}
    order.client.call("DELETE", path_of(_STATE, order.store, key), headers=headers)
    return 0


def _list(order: Order) -> int:
    query = {"prefix": order.words[0] if order.words else "", "limit": PAGE}
    while True:
        page = json.loads(order.client.call("GET", path_of(_OWN, order.store, "keys"), query).body)
        for entry in page["keys"]:
            key = entry["key"]
            print(key if key.isprintable() else json.dumps(key))
        if page["cursor"] is None:
            return 0
        query["cursor"] = page["cursor"]


def _increment(order: Order) -> int:
    print(_changed(order, "increment", order.fields("by", "initial", "floor", "ceiling"))["value"])
    return 0


def _append(order: Order) -> int:
    values = b",".join(_json_of(value) for value in order.words[1:])
    print(_changed(order, "append", order.fields("maxLength"), b',"values":[%b]' % values)["length"])
    return 0


def _get_and_set(order: Order) -> int:
    reply = _post(order, "get-and-set", order.fields(), b',"value":%b' % _json_of(order.words[1]))
    if reply:
        _print_value(reply)
    return 0


def _touch(order: Order) -> int:
    if "ttl" not in order.given:
        raise UsageError("touch needs --ttl: write the seconds from now, or -1 for never")
    if not _changed(order, "touch", order.fields())["exists"]:
        raise CallFailedError(f"there is no key {order.words[0]!r}")
    return 0


def _exists(order: Order) -> int:
    path = path_of(_OWN, order.store, "exists")
    is_there = json.loads(order.client.call("GET", path, {"key": order.words[0]}).body)["exists"]
    print("true" if is_there else "false")
    return 0 if is_there else 1


def _watch(order: Order) -> int:
    from pannier_sidecar.cli.watch import Watch, line_of

    given = order.given
    path = path_of(_OWN, order.store, "watch")
    prefix = order.words[0] if order.words else ""
    watch = Watch(order.client, path, prefix, given.get("since", ""), values=given.get("values", False))
    for event in watch:
        print(line_of(event, as_json=given.get("output") == "json"), flush=True)
    return 0


def _changed(order: Order, name: str, fields: Mapping[str, Any], values: bytes = b"") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_post(order, name, fields, values))
    return found


def _post(order: Order, name: str, fields: Mapping[str, Any], values: bytes = b"") -> bytes:
    head = json.dumps({"key": order.words[0], **fields}).encode().removesuffix(b"}")
    path = path_of(_OWN, order.store, name)
    return order.client.call("POST", path, body=head + values + b"}", headers=order.headers()).body


def _json_of(word: str) -> bytes:
    """Return a value as it is sent; `-` is standard input. Raises UsageError if it is not JSON."""
    value = sys.stdin.buffer.read() if word == "-" else word.encode()
    if not is_json(value):
        raise UsageError("the value is not JSON; write a text in double quotes within single ones: '\"text\"'")
    return value


def _print_value(value: bytes) -> None:
    """Print the bytes of a value as they are; on a terminal with a line's end."""
    sys.stdout.flush()
    sys.stdout.buffer.write(value)
    if sys.stdout.isatty():
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def _value(value: bytes) -> dict[str, Any]:
    """Return the fields that say what a value is, as `pannier export` writes them."""
    if is_json(value):
        return {"value": json.loads(value)}
    import base64

    return {"base64": base64.b64encode(value).decode()}


ACTIONS: Final = {
    "get": Action("KEY", _get, (flags.VALUE_FORMAT,)),
    "save": Action("KEY VALUE", _save, (flags.ETAG, flags.TTL, flags.ONCE)),
    "delete": Action("KEY", _delete, (flags.ETAG, flags.ONCE)),
    "list": Action("[PREFIX]", _list),
    "increment": Action("KEY", _increment, (flags.ETAG, flags.TTL, flags.ONCE, *flags.INCREMENT)),
    "append": Action("KEY VALUE ...", _append, (flags.ETAG, flags.TTL, flags.ONCE, flags.MAX_LENGTH)),
    "get-and-set": Action("KEY VALUE", _get_and_set, (flags.ETAG, flags.TTL, flags.ONCE)),
    "touch": Action("KEY", _touch, (flags.ETAG, flags.TTL, flags.ONCE)),
    "exists": Action("KEY", _exists),
    "watch": Action("[PREFIX]", _watch, (flags.VALUE_FORMAT, *flags.WATCH)),
}
