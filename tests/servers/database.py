"""What a test knows about a database: how it is installed, and what the store over it claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pannier_crds.catalogue import ComponentType, component_type, read_settings
from pannier_crds.pluggable import pluggable_type
from pannier_sidecar.state.feeds import ChangesBy
from pannier_sidecar.state.store import Feature
from pannier_sidecar.stores import registry

EVERYTHING = frozenset(Feature)

Settings = Mapping[str, str | int | float | bool | None]

TIMEOUTS = ("timeout", "dialTimeout", "readTimeout", "writeTimeout", "operationTimeout")
PATIENT = "30s"


class ProxySetup(NamedTuple):
    """How a component names its server, and which parts of a write are visible on the connection."""

    names: Callable[[int], Mapping[str, Any]]
    port: Callable[[Mapping[str, Any]], int]
    commit: Mapping[str, tuple[bytes, int]] = {}
    """For each case: the word that identifies the request, and how often the word occurs before."""
    repeats: frozenset[str] = frozenset()
    """Cases whose request has an id by which the database recognises a repetition, so that its client may repeat it."""
    announces_its_port: bool = False
    """Whether its client connects to the address that the server announces."""
    impatient: Mapping[str, Any] = {}
    """Settings with which calls time out soon."""
    max_connections: int | None = None
    """Maximum of connections that a store with these settings opens; None: calls share one, which is closed if it
    hangs.
    """
    encoding: str = "utf-8"
    """Of keys on the connection."""


def last_port(name: str) -> Callable[[Mapping[str, Any]], int]:
    return lambda settings: int(str(settings[name]).rpartition(":")[2].partition("/")[0])


def as_address(name: str, form: str = "127.0.0.1:{}", **more: Any) -> Callable[[int], Mapping[str, Any]]:
    return lambda port: {name: form.format(port), **more}


@dataclass(frozen=True)
class Server:
    """A running server, or its substitute."""

    settings: Settings
    """The metadata of a component that reaches it."""
    version: str
    """Name and version, such as `Redis 7.0.15`."""
    stored: Callable[[str], bytes | None] | None = None
    """Reads what is stored under a key without the store; None where that is not possible."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """What the sidecar adds to the settings."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What a sidecar needs in its environment to find it."""


@dataclass(frozen=True)
class Database:
    """A database, and the store over it."""

    name: str
    """Its name in tests."""
    title: str
    """Its name for users."""
    store_type: str
    serve: Callable[[Path], AbstractContextManager[Server]]
    """Starts a server in the given folder."""
    claims: frozenset[Feature] = EVERYTHING
    store_version: str = "v1"
    proxy_setup: ProxySetup | None = None
    """How tests connect the store through a proxy; None: they do not."""
    made_by: Literal["real", "emulator", "fake"] = "real"
    """`real` is the database itself; `emulator` is another program, `fake` one of ours, that behaves like it."""
    prepare: Callable[[], object] | None = None
    """Installs or builds what `serve` needs, if that takes long; called in the background before the first test.
    Calling it again waits for it."""
    is_shared: bool = True
    """Whether two stores with the same settings see the same data."""
    is_a_variant: bool = False
    """It is a variant of another database, on which the scenarios run: it is only for the conformance suite."""
    is_encrypted: bool = False
    """Whether tests put encryption around the store."""
    has_numbers_for_etags: bool = True
    largest_value: int | None = None
    """Maximum of bytes in a value; None: larger than any test needs."""
    largest_transaction: int | None = None
    """Maximum of operations in a transaction; None: more than any test needs."""
    longest_ttl: int | None = None
    """Seconds; None: longer than any test needs."""
    increments: int = 10_000
    """How often tests increment one key by its ETag; less often if each increment takes long."""
    many: int = 2000
    """How many keys tests use at once if they want many; fewer if each takes long."""
    metadata_of_transactions: Mapping[str, str] = field(default_factory=dict)
    """Metadata that every call needs so that its keys can be in one transaction; empty: any keys can."""
    keeps_one_app: bool = False
    """Whether it leaves the app's id out of what it stores, so that the keys of all tests must be of one app."""
    transactions_may_race: bool = True
    """Whether concurrent transactions can be tested: not with an emulator that does not isolate them."""
    passed_over: tuple[str, ...] = ()
    """Warnings of its client library that are no failure, in the form of `filterwarnings`."""
    remarks: Mapping[str, str] = field(default_factory=dict)
    """For topics of the suite, the bounds within which the store supports them, such as `in one partition`."""
    model_runs: int = 20
    """Number of random sequences of calls."""
    reports_by: ChangesBy | None = None
    """How changes become known with this server's set-up; None: as the store says of itself."""

    def __str__(self) -> str:
        return self.name

    def patient(self, settings: Settings) -> Settings:
        """Add timeouts for a busy machine, if a component can configure them."""
        known = {field.name for field in self.kind_with(settings).fields}
        return {**{name: PATIENT for name in TIMEOUTS if name in known}, **settings}

    def typed(self, settings: Settings) -> Mapping[str, Any]:
        """Return the settings that a store gets for these values of a component: typed, with defaults."""
        texts = {name: str(value) for name, value in settings.items()}
        found, problems = read_settings(self.kind_with(settings), texts)
        assert not problems, problems
        return found

    @property
    def changes_by(self) -> ChangesBy:
        """How changes of keys become known."""
        changes_by: ChangesBy = self.store_class.changes_by if self.reports_by is None else self.reports_by
        return changes_by

    @property
    def store_class(self) -> Any:
        return registry.class_of(self.kind_with(()))

    def kind_with(self, fields: Iterable[str]) -> ComponentType:
        """Return its type; a pluggable component has the fields that it is given."""
        return component_type(self.store_type, self.store_version) or pluggable_type(self.store_type, fields)
