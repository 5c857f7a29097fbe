"""Fields of stores that keep state in one table and metadata in another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue.model import Field
from pannier_crds.catalogue.timeouts import timeout
from pannier_crds.problems import error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Form, Setting
    from pannier_crds.problems import Problem

TIMES: Final = (
    timeout(20.0, aliases=("timeoutInSeconds",)),
    Field(
        "cleanupInterval",
        "duration",
        description="Time between removals of expired rows; 0 or less: never",
        # Dapr never cleans by default; a table that only grows is no sensible default.
        default=3600.0,
        aliases=("cleanupIntervalInSeconds",),
        bare_unit="s",
    ),
)


def connections(max_idle_time: float) -> tuple[Field, ...]:
    """Return the fields of a pool of connections; `max_idle_time` is the default in seconds."""
    return (
        Field(
            "maxConns",
            "integer",
            description="Maximum number of connections; 0 or less is the number of CPUs, but at least 4",
            default=0,
        ),
        Field(
            "connectionMaxIdleTime",
            "duration",
            description="Time after which an idle connection is closed",
            default=max_idle_time,
            bare_unit="s",
            must_be_positive=True,
        ),
    )


def state_table(form: Form) -> Field:
    """Return the field that names the table of the state."""
    return Field("tableName", description="Table that holds the state", default="state", form=form, places_data=True)


def metadata_table(form: Form, default: str) -> Field:
    """Return the field that names the table of the metadata."""
    return Field(
        "metadataTableName",
        description="Table that holds the layout's version and the time of the last clean-up",
        default=default,
        form=form,
    )


def tables_differ(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
    """Refuse one name for both tables; databases compare names without regard to case."""
    state, metadata = settings.get("tableName"), settings.get("metadataTableName")
    if isinstance(state, str) and isinstance(metadata, str) and state.lower() == metadata.lower():
        name = "tableName" if "tableName" in given else "metadataTableName"
        path = metadata_path(name, "value")
        yield error(path, "state and metadata would share one table", "give one of them another name")
