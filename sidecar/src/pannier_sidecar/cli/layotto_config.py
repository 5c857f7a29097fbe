"""Translates Layotto's configuration into components, and lists what is left out. No I/O.

The file is MOSN's JSON, with Layotto's part at

servers[].listeners[].filter_chains[].filters[type=grpc].config.grpc_config
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pannier_crds.problems import quoted
from pannier_sidecar.cli.layotto_stores import SECRET_STORES, STATE, Json, LeftOut, entries, read_stores, text, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_crds.component import Component


class NotLayottoError(ValueError):
    """The JSON document is not a configuration of Layotto; the text says what is missing."""


@dataclass(frozen=True)
class Translation:
    """What a configuration says about state."""

    app_id: str
    port: int | None
    """The port of Layotto's gRPC API; None if it is not a TCP port."""
    components: tuple[Component, ...]
    left_out: tuple[LeftOut, ...]


def translate(config: object) -> Translation:
    """Return the components of a configuration. Raises NotLayottoError."""
    listeners = [listener for server in entries(config, "servers") for listener in entries(server, "listeners")]
    runtimes = [(listener, found) for listener in listeners for found in _runtimes_of(listener)]
    if not runtimes:
        path = "servers[].listeners[].filter_chains[].filters[type=grpc].config.grpc_config"
        raise NotLayottoError(f"is not a configuration of Layotto: it has no {path}")
    own, runtime = runtimes[0]
    app = value(runtime, "app")
    components, left_out = read_stores(runtime, text(app, "app_id"))
    left_out += _other_parts(runtime, app)
    left_out += [_other_listener(listener) for listener in listeners if listener is not own]
    port = _port(own)
    if port is None:
        left_out.append(LeftOut(f"listener {text(own, 'address')}", "it is not a TCP port; see --unix-domain-socket"))
    return Translation(text(app, "app_id"), port, tuple(components), tuple(left_out))


def _runtimes_of(listener: Json) -> Iterator[Json]:
    for chain in entries(listener, "filter_chains"):
        for each in entries(chain, "filters"):
            runtime = value(value(each, "config"), "grpc_config")
            if text(each, "type") == "grpc" and isinstance(runtime, Mapping):
                yield runtime


def _port(listener: Json) -> int | None:
    number = text(listener, "address").rpartition(":")[2]
    is_unix = text(listener, "network").lower() == "unix"
    return int(number) if number.isascii() and number.isdigit() and not is_unix else None


def _other_parts(runtime: Json, app: object) -> Iterator[LeftOut]:
    for name in runtime:
        if name.lower() not in ("app", STATE, SECRET_STORES):
            is_hello = name.lower() == "hellos"
            yield LeftOut(name, "SayHello always answers 'greeting'" if is_hello else "Pannier serves state alone")
    for name in app if isinstance(app, Mapping) else ():
        if name.lower() != "app_id":
            yield LeftOut(f"app.{name}", "the app is not called back")


def _other_listener(listener: Json) -> LeftOut:
    where = f"listener {quoted(text(listener, 'name'))} on {text(listener, 'address')}"
    return LeftOut(where, "health is shown at /v1.0/healthz of the HTTP port")
