"""What is wrong with several components together: equal names, two actor state stores or two default stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_crds.pluggable import has_known_type
from pannier_crds.problems import Problem, error, listed, metadata_path, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pannier_crds.component import Component


class _Role(NamedTuple):
    """A role that only one of an app's stores may have."""

    setting: str
    words: str


_ACTORS: Final = _Role("actorStateStore", "actor state store")
_DEFAULT: Final = _Role("defaultStateStore", "default state store")
ROLE_SETTINGS: Final = frozenset(role.setting.lower() for role in (_ACTORS, _DEFAULT))
"""The settings, in lower case, that give a store a role. A store without them conflicts only with one of its name."""


def problems_among(
    components: Sequence[Component], *, namespaces_meet: bool = False
) -> list[tuple[Component, Problem]]:
    """Return each conflict between two components, with the later of the two; pass them in order of precedence.

    `namespaces_meet`: the namespace is unknown, so an app sees the components of all namespaces. Types that Pannier
    does not serve are ignored. Problems come in the order of the components.
    """
    served = [component for component in components if has_known_type(component)]
    found: list[tuple[Component, Problem]] = []
    for index, component in enumerate(served):
        earlier = [other for other in served[:index] if namespaces_meet or _may_meet(component, other)]
        found.extend((component, problem) for problem in _conflicts(component, earlier))
    return found


def are_rivals(one: Component, other: Component) -> bool:
    """Return whether two components of different namespaces claim the same name or role, which an app has only once."""
    return _are_apart(one, other) and (
        one.name == other.name
        or (one.holds_actor_state and other.holds_actor_state)
        or (one.is_default_store and other.is_default_store)
    )


def conflicts_in_turn(components: Sequence[Component]) -> list[tuple[Problem, ...]]:
    """Return the conflicts of each component with the earlier ones that are kept; a component with conflicts is not
    kept. So the first of several rivals is kept, and so is a component that conflicts only with one that is not kept.
    """
    stay: list[Component] = []
    verdicts: list[tuple[Problem, ...]] = []
    for component in components:
        found = conflicts_with(component, stay)
        verdicts.append(found)
        if not found:
            stay.append(component)
    return verdicts


def conflicts_with(component: Component, earlier: Sequence[Component]) -> tuple[Problem, ...]:
    """Return the conflicts of a component with others that are kept."""
    if not has_known_type(component):
        return ()
    served = [other for other in earlier if has_known_type(other) and _may_meet(component, other)]
    return tuple(_conflicts(component, served))


def _conflicts(component: Component, earlier: list[Component]) -> Iterator[Problem]:
    namesake = next((other for other in earlier if other.name == component.name), None)
    if namesake is not None:
        where = f" in namespace {quoted(namesake.namespace)}" if namesake.namespace else ""
        message = f"another component{where} is called {quoted(component.name)}"
        yield error("metadata.name", message, _advice_for(component, namesake, "give one of the two another name"))
    rivals = [other for other in earlier if other.name != component.name]
    if component.holds_actor_state:
        yield from _shared_role(component, [rival for rival in rivals if rival.holds_actor_state], _ACTORS)
    if component.is_default_store:
        yield from _shared_role(component, [rival for rival in rivals if rival.is_default_store], _DEFAULT)


def _advice_for(component: Component, other: Component, advice: str) -> str:
    """Return the advice. Components of different namespaces conflict only while the sidecar's namespace is unknown, so
    for them the advice begins with setting NAMESPACE.
    """
    return f"set NAMESPACE to the one that is meant, or {advice}" if _are_apart(component, other) else advice


def _are_apart(one: Component, other: Component) -> bool:
    return not _may_meet(one, other)


def _may_meet(one: Component, other: Component) -> bool:
    return one.namespace is None or other.namespace is None or one.namespace == other.namespace


def _shared_role(component: Component, rivals: list[Component], role: _Role) -> Iterator[Problem]:
    """Yield a problem for each rival, but not if earlier problems name all apps that it shares."""
    reported: set[str] = set()
    for rival in rivals:
        shared = _shared_apps(component, rival)
        if shared is not None and not (set(shared) - reported):
            continue
        yield _conflict(component, rival, shared, role)
        if shared is None:
            return
        reported.update(shared)


def _shared_apps(one: Component, other: Component) -> tuple[str, ...] | None:
    """Return the apps that see both; None for all apps."""
    if not one.scopes or not other.scopes:
        scopes = one.scopes or other.scopes
        return tuple(dict.fromkeys(scopes)) if scopes else None
    theirs = frozenset(other.scopes)
    return tuple(app for app in dict.fromkeys(one.scopes) if app in theirs)


def _conflict(component: Component, rival: Component, shared: tuple[str, ...] | None, role: _Role) -> Problem:
    apps = "every app" if shared is None else f"app{'s' if len(shared) > 1 else ''} {listed(shared)}"
    where = f" of namespace {quoted(rival.namespace or '')}" if _are_apart(component, rival) else ""
    message = f"{quoted(rival.name)}{where} already is the {role.words} of {apps}"
    field = metadata_path(role.setting, "value")
    return error(field, message, _advice_for(component, rival, _smallest_edit(component, rival, shared, role)))


def _smallest_edit(component: Component, rival: Component, shared: tuple[str, ...] | None, role: _Role) -> str:
    """Return the smallest change that ends the conflict and, if possible, takes no store away from an app."""
    drop = f"remove {role.setting} from one of the two"
    if shared is None:
        return f"{drop}, or give both components scopes that share no app"
    if not component.scopes:
        return f"{drop}, or add scopes here that leave out {listed(shared)}"
    if not set(component.scopes) <= set(shared):
        return f"remove {listed(shared)} from the scopes here"
    if not rival.scopes:
        return f"{drop}, or add scopes to {quoted(rival.name)} that leave out {listed(shared)}"
    if not set(rival.scopes) <= set(shared):
        return f"remove {role.setting} here, or {listed(shared)} from the scopes of {quoted(rival.name)}"
    return drop
