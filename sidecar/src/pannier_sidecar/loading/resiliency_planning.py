"""Decides which Resiliency objects count for this app, and which policies each store gets. No I/O.

An object with an error does not count; if an earlier version of it does, that one stays. Imported only where a folder
has, or had, a Resiliency.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from msgspec import structs

from pannier_crds.resiliency import KIND
from pannier_crds.resiliency_policies import Policies, remarks_among, remarks_on_built_in
from pannier_sidecar.loading.states import ComponentState, Refused, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_crds.problems import Problem
    from pannier_sidecar.loading.folder import InvalidDocument, ParsedResiliency, Reading
    from pannier_sidecar.loading.plans import Plan
    from pannier_sidecar.loading.resolving import ResolutionContext


def plan_with_policies(
    decided: Plan, reading: Reading, context: ResolutionContext, counting: Sequence[ParsedResiliency]
) -> Plan:
    """Return a plan with the policies of its stores. `counting` are the objects that count now.

    daprd takes an object whose targets name unknown policies, and so does profile `dapr`, with a warning.
    """
    planning = _Planning(context, counting)
    for invalid in reading.invalid_resiliencies:
        planning.refuse_document(invalid)
    for source in (*reading.empty, *(broken.source for broken in reading.invalid if not broken.name)):
        planning.keep_what_was_in(source)
    components = {parsed.component.name for parsed in reading.components}
    stores = [desired.name for desired in decided.desired]
    for parsed in reading.resiliencies:
        if parsed.resiliency.is_visible_to(context.app_id, context.namespace):
            planning.taken.append(parsed)
            remarks = [*parsed.remarks, *remarks_on_built_in(parsed.resiliency)]
            planning.warn(parsed, [*remarks, *remarks_among(parsed.resiliency, stores, components)])
    planning.judge_names()
    counted = planning.counted()
    policies = Policies([parsed.resiliency for parsed in counted])
    return structs.replace(
        decided,
        desired=tuple(dataclasses.replace(each, policies=policies.of_store(each.name)) for each in decided.desired),
        warnings=(*decided.warnings, *planning.warnings),
        resiliencies=tuple(counted),
        refused_resiliencies=tuple(planning.refused),
    )


def states_of(decided: Plan) -> list[ComponentState]:
    """Return the state of each Resiliency object, by name: of two with the same name, that of the refused one."""
    counting = {parsed.resiliency.name for parsed in decided.resiliencies}
    found = {name: ComponentState(name, KIND, "", "ready") for name in counting}
    for refused in decided.refused_resiliencies:
        name = refused.name or refused.source
        why = f"its latest version is refused: {refused.why}" if name in counting else refused.why
        found[name] = ComponentState(name, KIND, "", "ready" if name in counting else "refused", why)
    return [found[name] for name in sorted(found)]


class _Planning:
    def __init__(self, context: ResolutionContext, counting: Sequence[ParsedResiliency]):
        self._context = context
        self._counting = counting
        self._kept: list[ParsedResiliency] = []
        """Earlier versions of objects that are refused now, or of files that are being written."""
        self.taken: list[ParsedResiliency] = []
        self.refused: list[Refused] = []
        self.warnings: list[str] = []

    def refuse_document(self, invalid: InvalidDocument) -> None:
        self._refuse(invalid.source, invalid.name, invalid.problems)
        if not invalid.name:
            self.keep_what_was_in(invalid.source)

    def keep_what_was_in(self, source: str) -> None:
        self._kept += [parsed for parsed in self._counting if parsed.source == source]

    def warn(self, parsed: ParsedResiliency, problems: Sequence[Problem]) -> None:
        self.warnings += [place(parsed.source, problem) for problem in parsed.place(problems)]

    def judge_names(self) -> None:
        """Refuse objects that name unknown policies, until none does: a refused object defines none either."""
        while True:
            policies = Policies([parsed.resiliency for parsed in self.counted()])
            wrong = [(parsed, list(policies.unknown_names(parsed.resiliency))) for parsed in self.taken]
            wrong = [(parsed, problems) for parsed, problems in wrong if problems]
            if self._context.is_daprd:
                for parsed, problems in wrong:
                    self.warn(parsed, problems)
                return
            if not wrong:
                return
            for parsed, problems in wrong:
                self.taken.remove(parsed)
                self._refuse(parsed.source, parsed.resiliency.name, parsed.place(problems))

    def _refuse(self, source: str, name: str, problems: Sequence[Problem]) -> None:
        """Refuse an object. `ignores_errors`, because daprd starts without it."""
        self.refused.append(Refused(source, name, "", "", tuple(problems), ignores_errors=True))
        if name:
            self._kept += [
                parsed for parsed in self._counting if parsed.resiliency.name == name and parsed.source == source
            ]

    def counted(self) -> list[ParsedResiliency]:
        """Return the objects in the order of their files; one that was taken goes before its earlier version."""
        taken = {(parsed.source, parsed.resiliency.name) for parsed in self.taken}
        kept = {id(parsed): parsed for parsed in self._kept}.values()
        earlier = [parsed for parsed in kept if (parsed.source, parsed.resiliency.name) not in taken]
        return sorted([*self.taken, *earlier], key=lambda parsed: parsed.source)
