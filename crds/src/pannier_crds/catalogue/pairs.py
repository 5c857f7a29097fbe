"""The rule that one field needs another, such as a user name that needs a password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pannier_crds.problems import error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pannier_crds.catalogue.model import Rule, Setting
    from pannier_crds.problems import Problem


def needs(*pairs: tuple[str, str], or_remove: bool = False) -> Rule:
    """Return the rule that the first field of each pair is given only with the second.

    With `or_remove`, its advice also offers to remove the first.
    """

    def rule(settings: Mapping[str, Setting], given: frozenset[str]) -> Iterator[Problem]:
        for name, other in pairs:
            if name in given and other not in given:
                advice = f"add {other}, or remove {name}" if or_remove else f"add {other}"
                yield error(metadata_path(name), f"{name} needs {other}", advice)

    return rule


def both_or_none(one: str, other: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the pairs of two fields that need each other."""
    return (one, other), (other, one)
