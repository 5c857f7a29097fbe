"""How encrypted values name their key, and what is wrong with a component's keys if Dapr must read the values too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_crds.catalogue.encryption import FORMAT, PRIMARY, SECONDARY
from pannier_crds.problems import error, metadata_path, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue import Setting
    from pannier_crds.component import Component, MetadataItem
    from pannier_crds.problems import Problem


def name_for_dapr(item: MetadataItem) -> str:
    """Return what Dapr writes behind a value: the secret's name, without its key; empty for a literal value."""
    return item.secret.name if item.secret is not None else item.env or ""


def shown_name(item: MetadataItem) -> str:
    """Return the name of a key for messages: that of its secret, and the key in it; empty for a literal value."""
    if item.secret is not None and item.secret.key != item.secret.name:
        return f"{item.secret.name}/{item.secret.key}"
    return name_for_dapr(item)


def encryption_problems(component: Component, settings: Mapping[str, Setting]) -> Iterator[Problem]:
    """Yield a problem for a key by which Dapr could not open what is written with `encryptionFormat: dapr`.

    Dapr finds the key of a value by the name of the key's secret alone.
    """
    primary = component.item(PRIMARY)
    if settings.get(FORMAT) != "dapr" or primary is None:
        return
    name = name_for_dapr(primary)
    if not name:
        message = "Dapr finds a key by the name of its secret, and a literal value has none"
        yield error(metadata_path(PRIMARY), message, f"write secretKeyRef, or take {FORMAT} out")
    elif "||" in name:
        message = (
            f"Dapr could not open what is encrypted with {quoted(name)}, because '||' separates a value and its key"
        )
        yield error(metadata_path(PRIMARY), message, "give the secret a name without '||'")
    secondary = component.item(SECONDARY)
    if secondary is not None and name and name_for_dapr(secondary) == name:
        message = f"both keys are in the secret {quoted(name)}, and Dapr would take the primary one for every value"
        yield error(metadata_path(SECONDARY), message, f"put it into a secret of its own, or take {FORMAT} out")
