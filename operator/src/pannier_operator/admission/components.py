"""Decides whether a Component may be created, changed or deleted, given its neighbours and the running apps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from pannier_crds.checks import (
    conflicts_with,
    is_served,
    secret_store_problems,
    settings_without_effect,
)
from pannier_crds.places import changes_of_place
from pannier_crds.problems import Problem, error, listed, metadata_path, quoted, warning
from pannier_crds.values import is_truthy
from pannier_operator.admission.verdict import Verdict, is_left_alone
from pannier_operator.delivery.app_secret import MAX_BYTES
from pannier_operator.objects.namespace_components import (
    NamespaceComponents,
    annotation_of,
    component_in,
    judge_alone,
    matters_to_others,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pannier_crds.component import Component
    from pannier_operator.objects import kinds

Operation = Literal["CREATE", "UPDATE", "DELETE"]

ALLOW_ACTOR_STORE_CHANGE: Final = "pannier.dev/allow-actor-store-change"
PROTECT_ACTOR_STORE: Final = "pannier.dev/protect-actor-store"
CLEANERS: Final = frozenset(
    {
        "system:serviceaccount:kube-system:namespace-controller",
        "system:serviceaccount:kube-system:generic-garbage-collector",
        "system:kube-controller-manager",
    }
)
"""Users that only carry out deletions that were decided elsewhere.

The last is the user of all controllers in clusters that give them no service accounts.
"""
_MAX_APPS_NAMED: Final = 5


def concerns_neighbours(new: kinds.Component | None, old: kinds.Component | None) -> bool:
    """Return whether the verdict on a request depends on the other Components of the namespace.

    It does if the Component is or becomes an app's only actor store or default store, or if it names a secret store,
    which must exist.
    """
    if new is not None and old is not None and is_left_alone(new, old):
        return False
    before = None if old is None else component_in(old)
    if before is not None and before.holds_actor_state:
        return True
    component = None if new is None else component_in(new)
    return component is not None and (
        component.holds_actor_state or component.is_default_store or any(secret_store_problems(component, ()))
    )


def judge(
    operation: Operation,
    new: kinds.Component | None,
    old: kinds.Component | None,
    neighbours: Iterable[kinds.Component],
    running_apps: Collection[str] = (),
    *,
    known_secrets: Mapping[str, Collection[str]] | None = None,
    requester: str = "",
    admits_unserved_types: bool = False,
) -> Verdict:
    """Return the verdict on one request. It is stateless, so a dry run gets the same verdict.

    `new` is None for DELETE, `old` for CREATE. `neighbours` are the Components of the namespace, with or without the
    object itself, or none if the request does not concern them. `running_apps` are the app ids that have pods in the
    namespace, and `known_secrets` the keys of its Secrets; with None references are not checked. `requester` is the
    user name: `CLEANERS` may delete everything. With `admits_unserved_types` a type that Pannier does not serve causes
    only a warning: Dapr serves it.
    """
    if operation == "DELETE" or new is None:
        if old is None or requester in CLEANERS:
            return Verdict()
        return Verdict.of(_deletion_problems(old, _others(old, neighbours), running_apps))
    if old is not None and is_left_alone(new, old):
        return Verdict()
    others = _others(new, neighbours)
    problems = list(_problems_of(new, old, others, known_secrets))
    if admits_unserved_types and _is_unserved(new):
        return Verdict.of(replace(problem, severity="warning") for problem in [*problems, _left_to_dapr()])
    if old is not None:
        actor_problems = list(_actor_store_problems(old, new, others, running_apps))
        problems += actor_problems or _forgotten_annotation(new, old, others, running_apps)
    return Verdict.of(problems)


def _is_unserved(manifest: kinds.Component) -> bool:
    component = component_in(manifest)
    return component is not None and not is_served(component)


def _left_to_dapr() -> Problem:
    return warning(
        "", "Pannier does not serve it and leaves it to Dapr, which has installed the definition of Components"
    )


def _others(subject: kinds.Component, neighbours: Iterable[kinds.Component]) -> list[kinds.Component]:
    """Return the other Components of its namespace on which the verdict may depend."""
    name, namespace = text_of(subject, "name"), text_of(subject, "namespace")
    return [
        other
        for other in neighbours
        if matters_to_others(other)  # first, because it leaves few
        and text_of(other, "name") != name
        and (not namespace or text_of(other, "namespace") in ("", namespace))
    ]


def _problems_of(
    new: kinds.Component,
    old: kinds.Component | None,
    others: Sequence[kinds.Component],
    known_secrets: Mapping[str, Collection[str]] | None,
) -> Iterator[Problem]:
    """Yield the problems of the object itself and those with its neighbours."""
    member = judge_alone(new, known_secrets)
    component = member.component
    yield from member.problems
    if component is None:
        return
    yield from _too_large(component)
    rivals = NamespaceComponents([*others, old] if old is not None else others)
    staying = [rival for rival in rivals.accepted() if rival.name != component.name]
    yield from conflicts_with(component, staying)
    yield from secret_store_problems(component, rivals.accepted_or_left())
    for name, why in settings_without_effect(component):
        yield warning(metadata_path(name), f"{quoted(name)} has no effect, because {why}")


def _too_large(component: Component) -> Iterator[Problem]:
    """Yield an error if the component alone does not fit into a Secret. If only several do not fit, their status says
    so.
    """
    size = sum(len(item.value.encode()) for item in component.metadata if item.value is not None)
    if size > MAX_BYTES:
        message = f"the values have {size // 1024} KiB, and all components of an app together may have 1024 KiB"
        yield error("spec.metadata", message, "make them smaller")


def _deletion_problems(
    old: kinds.Component, others: Sequence[kinds.Component], running_apps: Collection[str]
) -> Iterator[Problem]:
    """Yield the problems of a deletion.

    Nobody can know whether the same command deletes the apps too. So there is only a warning, unless the Component is
    protected.
    """
    before, users = _users(old, others, running_apps)
    if before is None or not users or _is_annotated(old, ALLOW_ACTOR_STORE_CHANGE):
        return
    holds = f"{quoted(before.name)} holds the actor state of {_apps(users)}"
    if _is_annotated(old, PROTECT_ACTOR_STORE):
        yield error("", f"{holds} and is protected", _first_annotate(before))
    else:
        yield warning("", holds, "if the apps stay, apply it again")


def _actor_store_problems(
    old: kinds.Component, new: kinds.Component, others: Sequence[kinds.Component], running_apps: Collection[str]
) -> Iterator[Problem]:
    """Yield an error for each way in which running apps would lose actor state, unless an annotation allows it."""
    if not _is_annotated(new, ALLOW_ACTOR_STORE_CHANGE):
        yield from _losses(old, new, others, running_apps)


def _is_annotated(manifest: kinds.Component, annotation: str) -> bool:
    return is_truthy(annotation_of(manifest, annotation))


def _users(
    old: kinds.Component, others: Sequence[kinds.Component], running_apps: Collection[str]
) -> tuple[Component | None, list[str]]:
    """Return the component, and the apps that keep their actors' state in it."""
    member = NamespaceComponents([*others, old]).member(text_of(old, "name"))
    before = member.accepted if member is not None else None
    if before is None or not before.holds_actor_state:
        return None, []
    return before, sorted(app for app in set(running_apps) if before.is_visible_to(app))


def _losses(
    old: kinds.Component, new: kinds.Component, others: Sequence[kinds.Component], running_apps: Collection[str]
) -> Iterator[Problem]:
    before, users = _users(old, others, running_apps)
    after = component_in(new)
    if before is not None and after is not None and users:
        yield from _lost_by_change(before, after, users)


def _lost_by_change(before: Component, after: Component, users: list[str]) -> Iterator[Problem]:
    if not after.holds_actor_state:
        field = metadata_path("actorStateStore") if after.is_state_store else "spec.type"
        message = f"{_apps(users)} {_keep(users)} actor state here and would lose it"
        yield error(field, message, _annotate())
        return
    if losing := [app for app in users if not after.is_visible_to(app)]:
        message = f"{_apps(losing)} {_keep(losing)} actor state here and would no longer see this component"
        yield error("scopes", message, _annotate())
    if staying := [app for app in users if after.is_visible_to(app)]:
        for field in changes_of_place(before, after):
            message = f"{_apps(staying)} {_keep(staying)} actor state in the old place"
            yield error(field, message, _annotate())


def _forgotten_annotation(
    new: kinds.Component, old: kinds.Component, others: Sequence[kinds.Component], running_apps: Collection[str]
) -> list[Problem]:
    """Return a warning if the annotation that allows a move is still set after the move: it would allow the next move
    too.
    """
    is_forgotten = all(is_truthy(annotation_of(each, ALLOW_ACTOR_STORE_CHANGE)) for each in (new, old))
    if not is_forgotten or any(_losses(old, new, others, running_apps)):
        return []
    message = "it is still set, so further changes of the actor state store are not checked"
    return [warning(f"metadata.annotations[{ALLOW_ACTOR_STORE_CHANGE}]", message, "remove it when the move is done")]


def _apps(app_ids: Sequence[str]) -> str:
    named = list(app_ids[:_MAX_APPS_NAMED])
    if len(app_ids) > len(named):
        return f"running apps {', '.join(quoted(app) for app in named)} and {len(app_ids) - len(named)} more"
    return f"running app{'s' if len(named) > 1 else ''} {listed(named)}"


def _keep(app_ids: Sequence[str]) -> str:
    return "keep their" if len(app_ids) > 1 else "keeps its"


def _annotate() -> str:
    return f'add the annotation {ALLOW_ACTOR_STORE_CHANGE}: "true" if that is meant, or stop them first'


def _first_annotate(component: Component) -> str:
    where = f" -n {component.namespace}" if component.namespace else ""
    command = f"kubectl annotate components.dapr.io{where} {component.name} {ALLOW_ACTOR_STORE_CHANGE}=true"
    return f"if that is meant, run '{command}' and then delete it, or stop them first"
