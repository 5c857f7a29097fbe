"""Every component type that is served, as data: one module for each database, found here by name.

A new store is one module with a `TYPES` tuple. `make docs` writes its names into `names.py`, so that nothing is
imported before a component needs it. The other modules are:

model                         what a type, a field and a rule are
settings                      parses the text of metadata values into typed settings
every_state_store             the fields that every store has
encryption                    those of them that encrypt values
every_secret_store            the fields that every secret store on another machine has
aws_profile, azure_profile    those that sign in to AWS and to Azure
certificates, sizes, timeouts, tokens, two_tables    fields that several stores have
pairs, redis_rules            rules across fields: of several stores, and of Redis
local_secrets, hashicorp_vault, kubernetes_secrets, aws_secretmanager, aws_parameterstore, azure_keyvault,
gcp_secretmanager             the secret stores
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue.model import ComponentType, Field, Form, Kind, Rule, Setting
from pannier_crds.catalogue.names import MODULES
from pannier_crds.catalogue.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ComponentType",
    "Field",
    "Form",
    "Kind",
    "Rule",
    "Setting",
    "component_type",
    "defaults",
    "known_names",
    "known_types",
    "known_versions",
    "module_of",
    "read_settings",
    "stores_of_dapr_alone",
]

_ONLY_DAPRS: Final = frozenset(
    (
        "state.aerospike",
        "state.alicloud.tablestore",
        "state.azure.blobstorage",
        "state.azure.tablestorage",
        "state.clickhouse",
        "state.cloudflare.workerskv",
        "state.cockroachdb",
        "state.coherence",
        "state.couchbase",
        "state.gcp.firestore",
        "state.hazelcast",
        "state.immudb",
        "state.jetstream",
        "state.oci.objectstorage",
        "state.oracledatabase",
        "state.ravendb",
        "state.rethinkdb",
        "state.yugabyte",
        "state.yugabytedb",
        "state.zookeeper",
    )
)


def stores_of_dapr_alone() -> tuple[str, ...]:
    """Return the names of the state stores that Dapr has and Pannier does not serve."""
    return tuple(sorted(_ONLY_DAPRS - MODULES.keys()))


def component_type(name: str, version: str = "v1") -> ComponentType | None:
    """Return the type of that name or alias in that version, both case-insensitive; None when either is unknown.

    As in Dapr, no version and `v0` mean the version that a type has had from the start.
    """
    candidates = _candidates(name)
    wanted = version.strip().lower()
    if wanted in ("", "v0"):
        return candidates[0] if candidates else None
    return next((candidate for candidate in candidates if wanted in candidate.versions), None)


def defaults(name: str) -> Mapping[str, Setting]:
    """Return the default of each setting in any version of a type; None for a setting that has no default."""
    return {
        field.name: field.default
        for candidate in reversed(_candidates(name))
        for field in candidate.fields
        if field.has_effect and field.stands_for is None
    }


def known_versions(name: str) -> tuple[str, ...]:
    """Return the versions of a type; empty when the type is unknown."""
    return tuple(version for candidate in _candidates(name) for version in candidate.versions)


def known_names(prefix: str = "") -> tuple[str, ...]:
    """Return the names that start with the prefix (such as `state.`), without aliases, in the catalogue's order."""
    return tuple(dict.fromkeys(kind.name for kind in known_types() if kind.name.startswith(prefix)))


def known_types() -> tuple[ComponentType, ...]:
    """Return every type, in the catalogue's order. It loads all modules, so only error messages and docs
    should use it.
    """
    return tuple(kind for module in dict.fromkeys(MODULES.values()) for kind in _load(module))


def module_of(name: str) -> str | None:
    """Return the name of the module that describes a type; the package of its store has the same name."""
    return MODULES.get(name.strip().lower())


def _candidates(name: str) -> tuple[ComponentType, ...]:
    lower = name.strip().lower()
    module = module_of(lower)
    if module is None:
        return ()
    return tuple(kind for kind in _load(module) if lower == kind.name or lower in kind.aliases)


def _load(module: str) -> tuple[ComponentType, ...]:
    types: tuple[ComponentType, ...] = import_module(f"{__name__}.{module}").TYPES
    return types
