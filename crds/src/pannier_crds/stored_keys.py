"""Finds components that could give two different keys the same stored key, judged by the component alone.

The sidecar's `state/keys.py` decides what depends on the app that uses the component.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.problems import error, metadata_path, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_crds.component import Component
    from pannier_crds.problems import Problem

_STRATEGIES: Final = ("appid", "namespace", "none")


def stored_key_problems(component: Component) -> Iterator[Problem]:
    """Yield what makes stored keys of a state store ambiguous."""
    prefix = (component.setting("keyPrefix") or "appid").strip()
    if prefix.lower() == "name":
        yield from _prefix_problems(component, component.name, "metadata.name", quoted(component.name))
    elif prefix.lower() not in _STRATEGIES and "{" not in prefix:  # tokens are filled in by each sidecar
        yield from _prefix_problems(component, prefix, metadata_path("keyPrefix", "value"), "the prefix")
    if _joins_by_dashes(component):
        yield from _scope_problems(component)


def _prefix_problems(component: Component, prefix: str, field: str, shown: str) -> Iterator[Problem]:
    if prefix.endswith("|"):
        message = f"{shown} ends with '|', and '||' separates it from the key"
        yield error(field, message, "write a name or prefix that ends with a letter or digit")
    if _joins_by_dashes(component) and "-" in prefix:
        message = f"{shown} holds '-', and keyScheme dash separates it from the key by one"
        yield error(field, message, "remove keyScheme, or write a name or prefix without '-'")


def _scope_problems(component: Component) -> Iterator[Problem]:
    if (component.setting("keyPrefix") or "appid").strip().lower() not in ("appid", "namespace"):
        return
    for index, scope in enumerate(component.scopes):
        if "-" in scope:
            message = f"app {quoted(scope)} can't use keyScheme dash: '-' separates its id from the key"
            yield error(f"scopes[{index}]", message, "remove keyScheme, or remove the app from the scopes")


def _joins_by_dashes(component: Component) -> bool:
    return (component.setting("keyScheme") or "").strip().lower() == "dash"
