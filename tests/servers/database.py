"""What a test knows of a database: how it is had, and what the store over it claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pannier_crds.catalogue import ComponentType, component_type, read_settings
from pannier_sidecar.state.store import Feature

EVERYTHING = frozenset(Feature)

Settings = Mapping[str, str | int | float | bool | None]

TIMEOUTS = ("timeout", "dialTimeout", "readTimeout", "writeTimeout", "operationTimeout")
PATIENT = "30s"


class Way(NamedTuple):
    """How a component names its server, and what of a write can be seen on the connection."""

    names: Callable[[int], Mapping[str, Any]]
    port: Callable[[Mapping[str, Any]], int]
    commit: Mapping[str, tuple[bytes, int]] = {}
    """By case: the word in the request that decides, and how often it comes before."""
    repeats: frozenset[str] = frozenset()
    """Cases whose request carries a number by which the database knows it again, so that its client may repeat it."""
    tells_its_port: bool = False
    """Its client goes where the server says that it is."""
    impatient: Mapping[str, Any] = {}
    """Settings with which calls give up soon."""
    max_connections: int | None = None
    """How many the server may have of a store with these; None: calls share one, which ends when it hangs."""


def last_port(name: str) -> Callable[[Mapping[str, Any]], int]:
    return lambda settings: int(str(settings[name]).rpartition(":")[2].partition("/")[0])


def as_address(name: str, form: str = "127.0.0.1:{}", **more: Any) -> Callable[[int], Mapping[str, Any]]:
    return lambda port: {name: form.format(port), **more}


@dataclass(frozen=True)
class Server:
    """A running server, or what stands for one."""

    settings: Settings
    """The metadata of a component that reaches it."""
    version: str
    """Name and version, such as `Redis 7.0.15`."""
    stored: Callable[[str], bytes | None] | None = None
    """Reads what is stored under a key without the store; None where that is not possible."""


@dataclass(frozen=True)
class Database:
    """A database, and the store over it."""

    name: str
    """What tests call it."""
    title: str
    """What users read."""
    store_type: str
    serve: Callable[[Path], AbstractContextManager[Server]]
    """Is given a folder of its own."""
    claims: frozenset[Feature] = EVERYTHING
    store_version: str = "v1"
    way: Way | None = None
    """How tests lead the store through a proxy; None: not at all."""
    made_by: Literal["real", "emulator", "fake"] = "real"
    """`real` is the database itself; `emulator` is another program, `fake` one of ours, that behaves like it."""
    prepare: Callable[[], object] | None = None
    """Installs or builds what `serve` needs, where that takes long; called in the background before the first test.
    Calling it again waits for it."""
    is_shared: bool = True
    """Whether two stores with the same settings see the same data."""
    is_tried_by_sdks: bool = False
    """Whether the scenarios run through the SDKs too; what they add is the same on every store."""
    is_a_variant: bool = False
    """Of another one, which the scenarios run on: for the conformance suite alone."""
    has_numbers_for_etags: bool = True
    largest_value: int | None = None
    """Bytes; None: larger than any test needs."""
    largest_transaction: int | None = None
    """Operations; None: more than any test needs."""
    longest_ttl: int | None = None
    """Seconds; None: longer than any test needs."""
    increments: int = 10_000
    """How often tests count up one key by its ETag; fewer where each takes long."""
    many: int = 2000
    """How many keys tests use at once where they want many; fewer where each takes long."""
    metadata_of_transactions: Mapping[str, str] = field(default_factory=dict)
    """What every call must carry so that its keys can be in one transaction; nothing: any keys can."""
    transactions_may_race: bool = True
    """Whether transactions at the same time can be tried: not with an emulator that does not keep them apart."""
    passed_over: tuple[str, ...] = ()
    """Warnings of its client library that are no failure, as `filterwarnings` has them."""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """By topic of the suite: within which bounds the store does it, such as `in one partition`."""
    model_runs: int = 20
    """How many random sequences of calls are tried."""

    def __str__(self) -> str:
        return self.name

    def patient(self, settings: Settings) -> Settings:
        """Add timeouts for a machine that has other things to do, where a component can say that."""
        known = {field.name for field in self._kind.fields}
        return {**{name: PATIENT for name in TIMEOUTS if name in known}, **settings}

    def typed(self, settings: Settings) -> Mapping[str, Any]:
        """Return what the store is given where a component says this: values of their types, defaults filled in."""
        found, problems = read_settings(self._kind, {name: str(value) for name, value in settings.items()})
        assert not problems, problems
        return found

    @property
    def _kind(self) -> ComponentType:
        kind = component_type(self.store_type, self.store_version)
        assert kind is not None
        return kind
