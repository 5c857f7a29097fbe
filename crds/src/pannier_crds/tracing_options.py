"""`spec.tracing` of a Configuration: how many calls are traced, and where spans are sent."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from pannier_crds.component import read_secret_key_ref
from pannier_crds.problems import quoted
from pannier_crds.secret import Secret
from pannier_crds.structure import kind_of, scalar_text
from pannier_crds.values import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_crds.component import SecretKeyRef
    from pannier_crds.structure import Part

DEFAULT_SAMPLING_RATE: Final = 0.0001
"""Dapr's, where a Configuration gives none."""

_TRACING_KEYS: Final = ("samplingRate", "stdout", "zipkin", "otel")
_OTEL_KEYS: Final = ("endpointAddress", "protocol", "isSecure", "headers", "timeout")
_HEADER_KEYS: Final = ("name", "value", "secretKeyRef", "envRef")
_ADDRESS: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/@?#]+)(?::\d{1,5})?(?:/[^\s@?#]*)?", re.ASCII)
_ZIPKIN: Final = re.compile(r"https?://[^\s/@?#]+(?:/[^\s?#]*)?", re.ASCII)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Header:
    """A header that the exporter sends; its value, or the variable or the Secret that has it."""

    name: str
    value: Secret | None = None
    env: str = ""
    secret: SecretKeyRef | None = None
    """Where the value is in a cluster; a file alone does not have it."""
    path: str = field(default="", compare=False)
    """The field of the reference, for messages; empty without one."""


@dataclass(frozen=True, slots=True)
class Otel:
    """An OpenTelemetry collector."""

    address: str
    """`host:port`, for HTTP also with a path, without a scheme."""
    protocol: Literal["http", "grpc"]
    is_secure: bool = True
    headers: tuple[Header, ...] = ()
    timeout: float | None = None
    """Seconds; None: the exporter's own."""


@dataclass(frozen=True, slots=True)
class TracingOptions:
    """What a Configuration says about traces."""

    sampling_rate: float | None = None
    """From 0 to 1; None: not given."""
    otel: Otel | None = None
    zipkin: str = ""
    """The URL to which Zipkin's spans are posted; empty: none."""
    logs_spans: bool = False
    """`stdout`: whether the log has a line for each span."""

    @property
    def names_exporter(self) -> bool:
        """Whether spans go anywhere, apart from what the environment says."""
        return self.otel is not None or bool(self.zipkin) or self.logs_spans


def read_tracing(part: Part) -> TracingOptions:
    """Read `spec.tracing`."""
    part.refuse_misspelt(_TRACING_KEYS)
    zipkin = part.part("zipkin")
    zipkin.refuse_misspelt(("endpointAddress",))
    url = (zipkin.text("endpointAddress") or "").strip()
    if url and not _ZIPKIN.fullmatch(url):
        advice = "write it as http://HOST:9411/api/v2/spans"
        zipkin.refuse("endpointAddress", "is not the URL of a Zipkin server", advice)
    return TracingOptions(_sampling_rate(part), _read_otel(part.part("otel")), url, part.boolean("stdout"))


def _sampling_rate(part: Part) -> float | None:
    value = part.content.get("samplingRate")
    if value is None:
        return None
    text = None if isinstance(value, bool) else scalar_text(value)
    advice = 'write a number from 0 to 1 in quotes, such as samplingRate: "1"'
    if text is None:
        part.refuse("samplingRate", f"is {kind_of(value)}", advice)
        return None
    if not text.strip():
        return DEFAULT_SAMPLING_RATE
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 <= rate <= 1:
        part.refuse("samplingRate", f"{quoted(text)} is not a number from 0 to 1", advice)
    return rate


def _read_otel(part: Part) -> Otel | None:
    part.refuse_misspelt(_OTEL_KEYS)
    address = (part.text("endpointAddress") or "").strip()
    protocol = (part.text("protocol") or "").strip().lower()
    is_secure = part.boolean("isSecure") if part.content.get("isSecure") is not None else True
    headers = tuple(_read_headers(part))
    timeout = _read_timeout(part)
    if address.partition("://")[1]:
        part.refuse("endpointAddress", "begins with a scheme", "write host:port alone; isSecure says whether it is TLS")
    elif address and not _ADDRESS.fullmatch(address):
        part.refuse("endpointAddress", "is not an address", "write host:port, such as localhost:4317")
    if protocol not in ("", "http", "grpc"):
        part.refuse("protocol", f"is {quoted(protocol)}", "write http or grpc")
    elif address and not protocol:
        part.refuse("protocol", "is missing", "write protocol: grpc for port 4317, or protocol: http for port 4318")
    if not address:
        return None
    return Otel(address, "http" if protocol == "http" else "grpc", is_secure, headers, timeout)


def _read_headers(part: Part) -> Iterator[Header]:
    """Read a list of names and values, as in a cluster, a list of `name=value`, as in Dapr's files, or one text with
    `name=value,...`.
    """
    value = part.content.get("headers")
    pairs = value.split(",") if isinstance(value, str) else value
    if pairs and isinstance(pairs, list | tuple) and isinstance(pairs[0], str):
        for pair in part.texts("headers", "name=value") if pairs is value else pairs:
            name, _, given = pair.partition("=")
            if pair.strip():
                yield from _header(part, "headers", name.strip(), Header("", Secret(given.strip())))
        return
    if isinstance(value, str):
        return
    for entry in part.parts("headers"):
        entry.refuse_misspelt(_HEADER_KEYS)
        name = entry.required_text("name", "x-api-key").strip()
        if (found := read_secret_key_ref(entry)) is not None:
            header = Header("", secret=found, path=entry.path_of("secretKeyRef"))
            yield from _header(entry, "name", name, header)
            continue
        text = scalar_text(entry.content.get("value"))
        env = (entry.text("envRef") or "").strip()
        if text is None:
            entry.refuse("value", "should be text", "write it in quotes")
        elif not text and not env:
            entry.refuse("value", "is missing", "write value or envRef")
        yield from _header(entry, "name", name, Header("", None if env else Secret(text or ""), env))


def _header(part: Part, key: str, name: str, header: Header) -> Iterator[Header]:
    """Yield the header under its name, or add a problem."""
    if _HEADER_NAME.fullmatch(name):
        yield replace(header, name=name.lower())
    elif key == "headers":  # what stands there may be a token
        part.refuse(key, "has an entry without a valid name", "write name=value, separated by commas")
    elif name:
        part.refuse(key, f"{quoted(name)} can't be the name of a header", "write letters, digits and '-'")


def _read_timeout(part: Part) -> float | None:
    """Return seconds; a whole number is in milliseconds, as in Dapr."""
    value = part.content.get("timeout")
    if value in (None, 0, ""):
        return None
    text = None if isinstance(value, bool) else scalar_text(value)
    try:
        seconds = parse_duration(text or "", "ms")
    except ValueError:
        seconds = -1.0
    if seconds <= 0:
        part.refuse("timeout", "is not a duration", "write milliseconds, such as 10000, or a text such as 10s")
        return None
    return seconds
