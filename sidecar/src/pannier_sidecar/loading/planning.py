"""Decides which stores to serve from the parsed files, without I/O to any store.

Each component is validated by the checks that admission runs, alone and together with the others that the app sees. An
invalid one is refused; if an earlier version of it is being served, that version stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pannier_crds import catalogue
from pannier_crds.catalogue.large_values import large_value_problems
from pannier_crds.checks import are_rivals, is_served, problems_among, problems_of, settings_without_effect
from pannier_crds.encryption_keys import encryption_problems
from pannier_crds.folder import INDEX_FILE
from pannier_crds.pluggable import has_foreign_type, type_of
from pannier_crds.problems import Problem, error, metadata_path, quoted
from pannier_crds.secret import is_hidden
from pannier_sidecar.loading.as_daprd import duplicates_of
from pannier_sidecar.loading.chosen_settings import key_scheme, placed, unlisted_provider
from pannier_sidecar.loading.encrypting import missing_package
from pannier_sidecar.loading.opening_secrets import open_secret_stores, waiting
from pannier_sidecar.loading.plans import DesiredStore, Hidden, Plan
from pannier_sidecar.loading.remote_secret_stores import RemoteSecretStores
from pannier_sidecar.loading.resolving import ResolutionContext, resolve
from pannier_sidecar.loading.secrets import SecretStores
from pannier_sidecar.loading.states import ComponentState, Refused, place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pannier_crds.component import Component
    from pannier_sidecar.loading.folder import InvalidDocument, ParsedComponent, ParsedResiliency, Reading
    from pannier_sidecar.state.directory import Waiting

# How closely a component matches the one that is served under its name; the closest has precedence.
_AS_SERVED: Final = 0
_SAME_FILE: Final = 1
_NAMESAKE: Final = 2
_NEW: Final = 3


def plan(
    reading: Reading,
    context: ResolutionContext,
    serving: Iterable[DesiredStore] = (),
    *,
    keys_as_written: bool = False,
    resiliencies: Sequence[ParsedResiliency] = (),
    remote: RemoteSecretStores | None = None,
) -> Plan:
    """Decide what to serve. `serving` is what is served now: a store stays if its new version is invalid.
    `resiliencies` are those that count now.

    `keys_as_written` also accepts key schemes that may collide with another app's, so that their data can be moved.
    `remote` keeps secret stores on other machines open; without it, components that refer to them wait.
    """
    served = {desired.name: desired for desired in serving if not context.denies(desired.component)}
    awaited: tuple[str, ...] = ()
    if any(has_foreign_type(parsed.component) for parsed in reading.components):
        from pannier_sidecar.loading.plugging import recognized  # few sidecars have pluggable components

        reading, awaited = recognized(reading, context)
    remote = remote or RemoteSecretStores()
    remote.begin_plan()
    planning = _Planning(context, served, remote, keys_as_written=keys_as_written)
    planning.warn_of_foreign(reading.foreign)
    for invalid in reading.invalid:
        planning.refuse_invalid(invalid, reading.components)
    for source in reading.empty:
        planning.keep_what_was_in(source, reading.components)
    for skipped_document in reading.skipped:
        planning.skip(skipped_document.source, skipped_document.line, skipped_document.why)
    visible = [parsed for parsed in reading.components if planning.sees(parsed)]
    planning.open_secret_stores([parsed for parsed in visible if not parsed.component.is_state_store])
    for parsed in visible:
        if parsed.component.is_state_store:
            planning.judge(parsed)
    planning.end_conflicts()
    remote.end_plan()
    duplicates = duplicates_of(parsed.component for parsed in visible) if context.is_daprd else ()
    decided = planning.result(duplicates, awaited)
    if reading.resiliencies or reading.invalid_resiliencies or resiliencies:
        from pannier_sidecar.loading.resiliency_planning import plan_with_policies  # few folders have a Resiliency

        return plan_with_policies(decided, reading, context, resiliencies)
    return decided


class _Planning:
    def __init__(
        self,
        context: ResolutionContext,
        serving: Mapping[str, DesiredStore],
        remote: RemoteSecretStores,
        *,
        keys_as_written: bool = False,
    ):
        self._context = context
        self._remote = remote
        self._serving = serving
        self._keys_as_written = keys_as_written
        self._secrets = SecretStores({})
        self._secret_stores: list[ComponentState] = []
        self._pending: list[Waiting] = []
        self._desired: list[DesiredStore] = []
        self._documents: dict[int, ParsedComponent] = {}  # id of a component -> its position
        self._refused: list[Refused] = []
        self._hidden: list[Hidden] = []
        self._warnings: list[str] = []
        self._skipped: list[str] = []

    def result(self, duplicates: tuple[str, ...], awaited: tuple[str, ...]) -> Plan:
        return Plan(
            tuple(self._desired),
            tuple(self._refused),
            tuple(self._hidden),
            tuple(self._warnings),
            self._secrets.files,
            tuple(self._secret_stores),
            self._secrets,
            tuple(self._pending),
            tuple(self._skipped),
            duplicates,
            awaited,
        )

    def warn_of_foreign(self, files: Iterable[str]) -> None:
        for source in files:
            self._warnings.append(f"{source}: not read, because the folder's index ({INDEX_FILE}) does not name it")

    def refuse_invalid(self, invalid: InvalidDocument, parsed: Sequence[ParsedComponent]) -> None:
        """Refuse a document that cannot be parsed. If its name is unknown, every store of its file stays.

        A file that does not look like a component, and held none before, is skipped.
        """
        if invalid.is_unrelated and all(kept.source != invalid.source for kept in self._serving.values()):
            for problem in invalid.problems:
                self.skip(invalid.source, problem.line or 1, problem.text)
            return
        self._refused.append(Refused(invalid.source, invalid.name, "", "", tuple(invalid.problems)))
        readable = {other.component.name for other in parsed}
        for kept in self._serving.values():
            is_meant = kept.name == invalid.name if invalid.name else kept.source == invalid.source
            if is_meant and kept.name not in readable:
                self._keep(kept, invalid.problems)

    def keep_what_was_in(self, source: str, parsed: Sequence[ParsedComponent]) -> None:
        """Keep the stores of a file that has become empty: somebody may be rewriting it."""
        readable = {other.component.name for other in parsed}
        kept = [each for each in self._serving.values() if each.source == source and each.name not in readable]
        problem = Problem(
            "warning", "", "the file is empty", "its previous content is used until it is written or deleted", 1
        )
        for each in kept:
            self._keep(each, [problem], note=problem.text)
        if kept:
            self._warnings.append(place(source, problem))

    def skip(self, source: str, line: int, why: str) -> None:
        self._skipped.append(f"{source}:{line}: skipped: {why}")

    def sees(self, parsed: ParsedComponent) -> bool:
        component = parsed.component
        why = ""
        if not component.is_visible_to(self._context.app_id, self._context.namespace):
            why = _why_hidden(component, self._context)
        elif self._context.denies(component):
            why = f"it exists, but spec.components.deny of the Configuration forbids {quoted(component.type)}"
            self._warnings.append(f"{parsed.source}: {component.name} is not used: {why}")
        if not why:
            return True
        if component.is_state_store:
            self._hidden.append(Hidden(component.name, component.type, component.version, why))
        return False

    def open_secret_stores(self, others: Sequence[ParsedComponent]) -> None:
        """Open the valid secret stores. Of two with the same name neither is used: references would be ambiguous."""
        sound = [parsed for parsed in others if self._is_sound(parsed) and is_served(parsed.component)]
        names = [parsed.component.name for parsed in others if is_served(parsed.component)]
        opened = open_secret_stores(sound, names, self._context, self._remote)
        for parsed, problems in opened.refused:
            self._refuse(parsed, problems)
        self._secrets, self._secret_stores = opened.stores, opened.states

    def judge(self, parsed: ParsedComponent) -> None:
        """Plan to serve a state store, or refuse it."""
        if not self._is_sound(parsed):
            return
        component = parsed.component
        component_type = type_of(component)
        assert component_type is not None, "the checks refuse unknown types"
        why = self._secrets.waits_for(component)
        if why:
            self._wait(component, why)
            return
        values, problems = resolve(component, self._context, self._secrets)
        if not problems:
            settings, problems = catalogue.read_settings(component_type, values)
            problems = [problem for problem in problems if problem.is_error]
            problems += [
                *placed(component_type, settings, component, self._context),
                *missing_package(settings),
                *encryption_problems(component, settings),
                *unlisted_provider(settings, self._context),
                *large_value_problems(component, component_type, settings),
            ]
        if problems:
            self._refuse(parsed, problems)
            return
        for name, why in settings_without_effect(component):
            self._warnings.append(f"{parsed.source}: {component.name}: {name} has no effect: {why}")
        try:
            keys = key_scheme(component, settings, self._context, as_written=self._keys_as_written)
        except ValueError as wrong:
            message, _, advice = str(wrong).partition("; ")
            if is_hidden(settings["keyPrefix"]):  # its text would be quoted
                message = "with this keyPrefix, another app's key could be the same"
                advice = "write a keyPrefix without '||', without '|' at its end and, with keyScheme dash, without '-'"
            name = "keyScheme" if settings["keyScheme"] == "dash" else "keyPrefix"
            self._refuse(parsed, [error(metadata_path(name), message, advice)])
            return
        self._documents[id(component)] = parsed
        self._desired.append(
            DesiredStore(
                component,
                parsed.source,
                component_type,
                settings,
                keys,
                is_daprd=self._context.is_daprd,
                limits=self._context.limits,
            )
        )

    def _wait(self, component: Component, why: str) -> None:
        """Serve what is served now until the secrets of its latest version have been read."""
        kept = self._serving.get(component.name)
        if kept is not None:
            self._keep(kept, (), note=f"its latest version waits for {why}")
        elif all(other.name != component.name for other in self._pending):
            self._pending.append(waiting(component, why))

    def end_conflicts(self) -> None:
        """Refuse components until no two conflict.

        Of two components in conflict, the later one is refused; a component that is being served counts as the earlier.
        If an earlier version of the refused one is being served, that version stays, which may cause the next conflict.

        If the sidecar's own namespace is unknown, two components of different namespaces that claim the same name or
        role are both refused, unless one of them is being served: otherwise the order of the files would decide which
        database is used.
        """
        namespaces_meet = self._context.namespace is None
        while True:
            self._desired.sort(key=self._precedence)  # check again: earlier versions may have replaced refused ones
            components = [desired.component for desired in self._desired]
            conflicts = problems_among(components, namespaces_meet=namespaces_meet)
            if not conflicts:
                break
            component, _ = conflicts[0]
            index = next(i for i, each in enumerate(components) if each is component)
            later = self._desired.pop(index)
            self._end(later, [problem for other, problem in conflicts if other is component], index)
            for rival in [each for each in self._desired if are_rivals(each.component, component)]:
                if self._precedence(rival) > _SAME_FILE:
                    self._desired.remove(rival)
                    both = problems_among([component, rival.component], namespaces_meet=True)
                    self._end(rival, [problem for _, problem in both], index)

    def _end(self, desired: DesiredStore, problems: Sequence[Problem], at: int) -> None:
        parsed = self._documents.get(id(desired.component))
        if parsed is not None:
            self._refuse(parsed, problems, at=at)

    def _precedence(self, desired: DesiredStore) -> int:
        """Return the precedence: the store that is served comes first, even if its file has changed."""
        served = self._serving.get(desired.name)
        if served is None:
            return _NEW
        if served.component == desired.component:
            return _AS_SERVED
        return _SAME_FILE if served.source == desired.source else _NAMESAKE

    def _is_sound(self, parsed: ParsedComponent) -> bool:
        problems = problems_of(parsed.component, keys_as_written=self._keys_as_written)
        errors = [problem for problem in problems if problem.is_error]
        placed = parsed.place([*parsed.remarks, *(problem for problem in problems if not problem.is_error)])
        self._warnings += [place(parsed.source, problem) for problem in placed]
        if errors:
            self._refuse(parsed, errors)
        return not errors

    def _refuse(self, parsed: ParsedComponent, problems: Sequence[Problem], at: int | None = None) -> None:
        component = parsed.component
        placed = tuple(parsed.place(problems))
        self._refused.append(
            Refused(parsed.source, component.name, component.type, component.version, placed, component.ignore_errors)
        )
        if component.ignore_errors and self._context.is_daprd:
            return
        if component.name in self._serving and all(desired.name != component.name for desired in self._desired):
            self._keep(self._serving[component.name], placed, at)

    def _keep(
        self, desired: DesiredStore, problems: Sequence[Problem], at: int | None = None, note: str | None = None
    ) -> None:
        """Continue to serve `desired` as now; do nothing if its name is already planned. `note` is shown with its
        state; by default it says that the latest version is refused for `problems`. `at` is its position in the order
        of precedence, by default the last.
        """
        note = note or "its latest version is refused: " + "; ".join(str(problem) for problem in problems)
        kept = replace(desired, note=note, policies=None)
        if all(other.name != kept.name for other in self._desired):
            self._desired.insert(len(self._desired) if at is None else at, kept)


def _why_hidden(component: Component, context: ResolutionContext) -> str:
    if component.scopes and context.app_id not in component.scopes:
        return (
            f"it exists, but app {quoted(context.app_id)} is not in its scopes "
            f"[{', '.join(component.scopes)}]: add it there"
        )
    return (
        f"it exists, but in namespace {quoted(component.namespace or '')}, and app {quoted(context.app_id)} "
        f"runs in {quoted(context.namespace or '')}: write a component for that namespace"
    )
