"""The state of each component, as shown by the metadata, the health endpoint and the log."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from pannier_crds.problems import Problem

ComponentPhase = Literal["ready", "waiting", "refused", "hidden"]
"""waiting: its server has not answered yet. refused: the component is invalid. hidden: scoped to other apps."""


class ComponentState(Struct, frozen=True):
    """The state of one component."""

    name: str
    type: str
    version: str
    state: ComponentPhase
    why: str = ""
    """Why it is not ready or, if it is ready, why its latest change is not served."""
    capabilities: tuple[str, ...] = ()
    """The store's capabilities as Dapr names them, including ACTOR."""


def place(source: str, problem: Problem) -> str:
    """Return one line in a form that editors can jump to: `file:line: field: what is wrong; what to write`."""
    return f"{source}:{problem.line}: {problem}" if problem.line else f"{source}: {problem}"


class Refused(Struct, frozen=True):
    """An invalid component, or a document that should be one."""

    source: str
    name: str
    type: str
    version: str
    problems: tuple[Problem, ...]
    ignores_errors: bool = False
    """The component has `ignoreErrors: true`, so Dapr starts without it."""

    @property
    def why(self) -> str:
        return "; ".join(str(problem) for problem in self.problems)

    def lines(self) -> list[str]:
        """Return one line per problem, as `pannier check` prints them."""
        return [place(self.source, problem) for problem in self.problems]
