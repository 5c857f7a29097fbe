"""The container that serves a pluggable component, which a Component describes in an annotation (Dapr, "Pluggable
components").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.component import CONTAINER_ANNOTATION
from pannier_crds.problems import InvalidValueError, error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_crds.component import Component
    from pannier_crds.problems import Problem

_EXAMPLE: Final = 'write JSON, such as {"image": "example.com/ledger:1"}'


def read_container(component: Component) -> dict[str, object] | None:
    """Return the container that a component describes, named like it by default; None if it describes none.

    Raises InvalidValueError.
    """
    if component.container is None:
        return None
    import json  # few components describe a container

    try:
        container: object = json.loads(component.container)
    except (ValueError, RecursionError):
        raise InvalidValueError("it is no JSON", _EXAMPLE) from None
    if not isinstance(container, dict):
        raise InvalidValueError("it is not a container", _EXAMPLE)
    for name in ("image", "name"):
        if not isinstance(container.get(name, ""), str):
            raise InvalidValueError(f"its {name} is not text", _EXAMPLE)
    if not container.get("image"):
        raise InvalidValueError("it has no image", _EXAMPLE)
    for name in ("env", "volumeMounts"):
        entries = container.get(name) or []
        if not isinstance(entries, list) or not all(_is_named(entry) for entry in entries):
            raise InvalidValueError(f"its {name} is not a list of entries with a name", _EXAMPLE)
    return {**container, "name": container.get("name") or component.name}


def _is_named(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("name"), str)


def container_problems(component: Component) -> Iterator[Problem]:
    """Yield what is wrong with the container."""
    try:
        read_container(component)
    except InvalidValueError as wrong:
        yield error(f"metadata.annotations[{CONTAINER_ANNOTATION}]", wrong.message, wrong.advice)
