"""The timeout field, which most stores have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_crds.catalogue.model import Field

if TYPE_CHECKING:
    from typing import Literal


def timeout(
    default: float,
    description: str = "Timeout of one call",
    *,
    name: str = "timeout",
    aliases: tuple[str, ...] = (),
    bare_unit: Literal["s", "ms"] = "s",
) -> Field:
    """Return the field. `default` is in seconds; `bare_unit` is the unit of a number that is written without one."""
    return Field(
        name,
        "duration",
        description=description,
        default=default,
        aliases=aliases,
        bare_unit=bare_unit,
        must_be_positive=True,
    )
