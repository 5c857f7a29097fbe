"""`spec.api` of a Configuration: which APIs of the sidecar an app may call, over HTTP and over gRPC."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from pannier_crds.problems import listed, quoted, warning
from pannier_crds.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_crds.problems import Problem
    from pannier_crds.structure import Part

Protocol = Literal["http", "grpc"]

NAMES: Final = (
    *("state", "actors", "metadata", "secrets", "healthz", "shutdown", "invoke", "publish", "subscribe", "bindings"),
    *("configuration", "lock", "unlock", "crypto", "subtlecrypto", "workflows", "jobs", "conversation"),
)
"""The names of Dapr's APIs; the first six are served here."""
_RULE_KEYS: Final = ("name", "version", "protocol")
_VERSION: Final = re.compile(r"v1(?:\.0)?(?:-?(alpha|beta)([1-9]))?", re.ASCII)
_PARAMETER: Final = re.compile(r"\{[^{}/]*\}")


@dataclass(frozen=True, slots=True)
class Api:
    """The API that a call belongs to."""

    name: str
    """Such as `state`."""
    version: str = "v1"
    """`v1` or `v1alpha1`."""
    route: str = ""
    """Over HTTP the path after the version, such as `state/{store}/{key}`; empty over gRPC."""
    is_addition: bool = False
    """Dapr does not have the call. A rule that denies any version of the API denies it too, because whoever wrote the
    rule did not know of it.
    """


@dataclass(frozen=True, slots=True)
class ApiRule:
    """One entry of a list."""

    name: str
    """The name of an API or, over HTTP, the beginning of a route."""
    version: str
    protocol: Protocol | None = None
    """None: both."""

    def covers(self, api: Api) -> bool:
        """Return whether a call is meant, whatever its protocol."""
        if api.version != self.version:
            return False
        return api.name == self.name or ("/" in self.name and _plain(api.route).startswith(self.name))


@dataclass(frozen=True, slots=True)
class ApiLists:
    """Both lists. Without rules for a protocol, every call over it is allowed."""

    allowed: tuple[ApiRule, ...] = ()
    denied: tuple[ApiRule, ...] = ()

    def permits(self, api: Api, protocol: Protocol) -> bool:
        """Return whether calls of an API are answered. `denied` goes first; health always is."""
        if api.name == "healthz":
            return True
        if any(rule.covers(api) or (api.is_addition and rule.name == api.name) for rule in _of(self.denied, protocol)):
            return False
        allowed = list(_of(self.allowed, protocol))
        return not allowed or any(rule.covers(api) for rule in allowed)

    def as_dapr_reads(self) -> ApiLists:
        """Return the lists as Dapr 1.18 applies them: it ignores rules without a protocol."""
        return replace(
            self,
            allowed=tuple(rule for rule in self.allowed if rule.protocol),
            denied=tuple(rule for rule in self.denied if rule.protocol),
        )


def read_api_lists(part: Part, remarks: list[Problem]) -> ApiLists:
    """Read `spec.api`; what is wrong is added to the part's problems, what is doubtful to `remarks`."""
    part.refuse_misspelt(("allowed", "denied"))
    return ApiLists(tuple(_rules(part, "allowed", remarks)), tuple(_rules(part, "denied", remarks)))


def _rules(part: Part, key: str, remarks: list[Problem]) -> Iterator[ApiRule]:
    for entry in part.parts(key):
        entry.refuse_misspelt(_RULE_KEYS)
        name = _read_name(entry, remarks)
        version = _read_version(entry)
        protocol = _read_protocol(entry, remarks)
        yield ApiRule(name, version, protocol)


def _read_name(entry: Part, remarks: list[Problem]) -> str:
    written = entry.required_text("name", "state").strip().strip("/")
    first = written.partition("/")[0]
    match = closest(first, NAMES) if first and first not in NAMES else None
    if match is not None:
        entry.refuse("name", f"{quoted(first)} is no API", f"write {quoted(match)}")
    elif first and first not in NAMES:
        known = listed(NAMES[:6], "or")
        remarks.append(
            warning(entry.path_of("name"), f"{quoted(first)} is no API that is served here", f"write {known}")
        )
    return _plain(written)


def _read_version(entry: Part) -> str:
    written = entry.required_text("version", "v1")
    match = _VERSION.fullmatch(written.strip().lower())
    if match is None:
        if written.strip():
            entry.refuse("version", f"{quoted(written)} is no version of an API", "write v1 or v1alpha1")
        return ""
    return f"v1{match[1]}{match[2]}" if match[1] else "v1"


def _read_protocol(entry: Part, remarks: list[Problem]) -> Protocol | None:
    written = (entry.text("protocol") or "").strip().lower()
    if written == "http":
        return "http"
    if written == "grpc":
        return "grpc"
    if written:
        entry.refuse("protocol", f"is {quoted(written)}", "write http or grpc")
    elif not entry.content.get("protocol"):
        message = "is missing: the rule is for HTTP and gRPC, but Dapr, and profile dapr, ignore it"
        remarks.append(
            warning(entry.path_of("protocol"), message, "write a rule for each, with protocol: http or grpc")
        )
    return None


def _of(rules: tuple[ApiRule, ...], protocol: Protocol) -> Iterator[ApiRule]:
    return (rule for rule in rules if rule.protocol in (None, protocol))


def _plain(route: str) -> str:
    """Return a route with `{}` for each parameter, whatever the parameter is called."""
    return _PARAMETER.sub("{}", route)
