"""The messages with which daprd rejects invalid components before it exits; profile `dapr` does the same."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pannier_crds.component import Component
    from pannier_sidecar.loading.states import Refused

log = logging.getLogger(__name__)


def duplicates_of(components: Iterable[Component]) -> tuple[str, ...]:
    """Return a line for each component with the name of an earlier one, of whatever type. daprd refuses to
    start then.
    """
    first: dict[str, Component] = {}
    found = []
    for component in components:
        existing = first.setdefault(component.name, component)
        if existing is not component:
            found.append(f"duplicate definition of Component name {_shown(component)} with existing {_shown(existing)}")
    return tuple(found)


def duplicates_message(lines: Iterable[str], task: str) -> str:
    """Return the log line for components with the same name; `task` is what they prevented."""
    return f"Fatal error from runtime: failed to {task}: " + r"\n".join(lines)


def log_refused(refused: Refused) -> None:
    """Log that a component is invalid, in daprd's words."""
    name = f"{refused.name} ({refused.type}/{refused.version})"
    wrong = "; ".join(problem.message for problem in refused.problems)
    failed = f"[INIT_COMPONENT_FAILURE]: initialization error occurred for {name}: "
    log.error("Failed to init component %s: %s%s", name, failed, wrong)
    error = f"process component {refused.name} error: {failed}{failed}{wrong}"
    if refused.ignores_errors:
        log.error("Ignoring error processing component: %s", error)
    else:
        log.warning("Error processing component, daprd will exit gracefully: %s", error)


def _shown(component: Component) -> str:
    return f"{component.name} ({component.type}/{component.version})"
