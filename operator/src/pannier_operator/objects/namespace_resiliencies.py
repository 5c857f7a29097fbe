"""The Resiliency objects of one namespace with their verdicts. Pure.

A policy that a target names must be defined for every app that the target's object is for: in the object itself, or in
another one that is for all of these apps too. So the verdict is the same for all apps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pannier_crds.problems import InvalidManifestError
from pannier_crds.resiliency import Resiliency
from pannier_crds.resiliency_policies import Policies, remarks_on_built_in
from pannier_operator.objects.namespace_components import JudgedObject, text_of, unjudged

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pannier_crds.problems import Problem
    from pannier_operator.objects import kinds


_MAX_ROUNDS: Final = 10
"""If objects depend on one another in a longer chain, sidecars refuse the rest of it. Each round judges all of them."""


@dataclass(frozen=True, slots=True)
class ResiliencyMember(JudgedObject):
    """One Resiliency and the verdict on it."""

    manifest: kinds.Resiliency
    resiliency: Resiliency | None
    """None if the manifest cannot be read as a Resiliency; then there are problems."""
    problems: tuple[Problem, ...] = ()
    """Errors and warnings about the object alone."""
    unknown: tuple[Problem, ...] = ()
    """Policies that its targets name and that are not defined for every app that it is for."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in (*self.problems, *self.unknown) if problem.is_error)

    @property
    def accepted(self) -> Resiliency | None:
        """The object if it may be delivered, else None."""
        return None if self.errors else self.resiliency


class NamespaceResiliencies:
    """The Resiliency objects of one namespace, in the order of their names."""

    def __init__(self, manifests: Iterable[kinds.Resiliency] = (), *, admits_unknown_names: bool = False):
        """Judge them. With `admits_unknown_names` unknown names of policies cause only warnings, as in profile dapr."""
        ordered = sorted(manifests, key=lambda manifest: text_of(manifest, "name"))
        judged = [judge_alone(each) for each in ordered]
        views = _Views(judged)
        for _ in range(_MAX_ROUNDS):  # an object with an error defines no policy, so others may then name unknown ones
            found = {index: problems for index, member in enumerate(judged) if (problems := views.unknown_in(member))}
            for index, problems in found.items():
                said = [replace(each, severity="warning") for each in problems] if admits_unknown_names else problems
                judged[index] = replace(judged[index], unknown=tuple(said))
            views = _Views(judged)
            if not found or admits_unknown_names:
                break
        self.members = tuple(judged)
        self._views = views

    def member(self, name: str) -> ResiliencyMember | None:
        return next((member for member in self.members if member.name == name), None)

    def visible_to(self, app_id: str) -> list[ResiliencyMember]:
        """Return the accepted objects that are for an app."""
        return [each for each in self.members if each.accepted is not None and each.accepted.is_visible_to(app_id)]

    def gives_policy(self, resiliency: Resiliency, store: str) -> bool:
        """Return whether an accepted object has an effect on a state store: it names the store, or defines a policy
        that the store has.
        """
        found = self._views.around(resiliency).of_store(store)
        if found is None:
            return False
        names = found.names
        defined = (resiliency.timeouts, resiliency.retries, resiliency.circuit_breakers)
        written = (names.timeout, names.retry, names.circuit_breaker)
        return names == resiliency.components.get(store) or any(
            name in policies for name, policies in zip(written, defined, strict=True)
        )


def judge_alone(manifest: kinds.Resiliency) -> ResiliencyMember:
    """Return the verdict on one Resiliency without regard to the others."""
    try:
        resiliency = Resiliency.from_manifest(manifest)
        return ResiliencyMember(manifest, resiliency, (*resiliency.remarks, *remarks_on_built_in(resiliency)))
    except InvalidManifestError as invalid:
        return ResiliencyMember(manifest, None, invalid.problems)
    except Exception as bug:  # a bug of ours: the other objects of the namespace are delivered all the same
        return ResiliencyMember(manifest, None, (unjudged(bug),))


class _Views:
    """The policies of the accepted objects, as each set of apps sees them."""

    def __init__(self, members: Sequence[ResiliencyMember]):
        self._objects = [each for member in members if (each := member.accepted) is not None]
        self._known: dict[frozenset[str], Policies] = {}

    def around(self, resiliency: Resiliency) -> Policies:
        """Return the policies of the objects that are for all apps that this one is for."""
        apps = frozenset(resiliency.scopes)
        if apps not in self._known:
            self._known[apps] = Policies(each for each in self._objects if _is_for_all_of(each, apps))
        return self._known[apps]

    def unknown_in(self, member: ResiliencyMember) -> list[Problem]:
        accepted = member.accepted
        return [] if accepted is None else list(self.around(accepted).unknown_names(accepted))


def _is_for_all_of(resiliency: Resiliency, apps: frozenset[str]) -> bool:
    """Return whether an object is for all of these apps; empty: for every app."""
    return not resiliency.scopes or (bool(apps) and apps.issubset(resiliency.scopes))
