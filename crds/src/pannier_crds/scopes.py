"""What is wrong with the scopes of an object: the app ids that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_crds.problems import Problem, error, quoted, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def scope_problems(scopes: Sequence[str]) -> Iterator[Problem]:
    """Yield an error for each scope that can be no app id, and a warning for each that is written twice."""
    seen: set[str] = set()
    for index, scope in enumerate(scopes):
        field = f"scopes[{index}]"
        if scope in seen:
            yield warning(field, f"{quoted(scope)} is written twice", "keep one of the two")
        elif scope.strip() in ("", "*"):
            shown = "an empty scope" if not scope.strip() else "'*'"
            yield error(field, f"{shown} is no app id", "write an app id, or take all scopes out to serve every app")
        elif "," in scope:
            yield error(field, f"{quoted(scope)} is more than one app id", "write one list entry for each app")
        elif "||" in scope or "/" in scope or any(character.isspace() for character in scope):
            yield error(field, f"{quoted(scope)} is no app id", "write an app id without spaces, '/' and '||'")
        seen.add(scope)
