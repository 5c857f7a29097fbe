"""What should be served, decided from what stands in the files: no store is touched here.

Each component is judged by the checks that admission runs, alone and among those that the app would see. What is wrong
is refused, and where an earlier version of it is being served, that one stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from pannier_crds import catalogue
from pannier_crds.catalogue.every_state_store import FIELDS
from pannier_crds.checks import are_rivals, is_served, problems_among, problems_of, settings_without_effect
from pannier_crds.folder import INDEX_FILE
from pannier_crds.problems import Problem, error, metadata_path, quoted
from pannier_crds.secret import is_hidden, reveal
from pannier_sidecar.loading.as_daprd import duplicates_of
from pannier_sidecar.loading.resolving import Surroundings, resolve
from pannier_sidecar.loading.secrets import SecretStores, described, open_secret_store
from pannier_sidecar.loading.states import ComponentState
from pannier_sidecar.state.keys import DASH, SEPARATOR, KeyScheme, refuse_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pannier_crds.catalogue import ComponentType, Setting
    from pannier_crds.component import Component
    from pannier_sidecar.loading.folder import Broken, Found, Reading

_SHARED_FIELDS: Final = frozenset(known.canonical_name for known in FIELDS)
"""What the sidecar itself does with a store; a change of these leaves the store open."""

Identity = tuple[object, ...]

# How near a component is to what is served under its name.
_AS_SERVED: Final = 0
_SAME_FILE: Final = 1
_NAMESAKE: Final = 2
_NEW: Final = 3


@dataclass(frozen=True)
class Wanted:
    """A store as a component wants it."""

    component: Component
    source: str
    type: ComponentType
    settings: Mapping[str, Setting] = field(repr=False)
    keys: KeyScheme = field(compare=False)
    note: str = ""
    """Why it is an earlier version of the component that is wanted; empty for the latest."""

    @property
    def name(self) -> str:
        return self.component.name

    @property
    def version(self) -> str:
        return self.component.version

    @property
    def identity(self) -> Identity:
        """What makes another store of it: type, version, and the settings of the store itself."""
        own = ((name, value) for name, value in self.settings.items() if name not in _SHARED_FIELDS)
        return (self.type.name, self.type.versions, *sorted(own, key=lambda setting: setting[0]))

    @property
    def default_ttl(self) -> int | None:
        seconds = self.settings["ttlInSeconds"]
        return seconds if isinstance(seconds, int) and seconds > 0 else None

    @property
    def is_default(self) -> bool:
        return self.settings["defaultStateStore"] is True

    @property
    def holds_actor_state(self) -> bool:
        return self.settings["actorStateStore"] is True


class Refused(Struct, frozen=True):
    """A component, or something that should be one, that is wrong."""

    source: str
    name: str
    type: str
    version: str
    problems: tuple[Problem, ...]
    ignores_errors: bool = False
    """It says `ignoreErrors: true`: Dapr starts without it."""

    @property
    def why(self) -> str:
        return "; ".join(str(problem) for problem in self.problems)

    def lines(self) -> list[str]:
        """A line for each problem, as `pannier check` prints them."""
        return [place(self.source, problem) for problem in self.problems]


class Hidden(Struct, frozen=True):
    """A component that is another app's."""

    name: str
    type: str
    version: str
    why: str


class Plan(Struct, frozen=True):
    """The verdict on a whole folder."""

    wanted: tuple[Wanted, ...] = ()
    refused: tuple[Refused, ...] = ()
    hidden: tuple[Hidden, ...] = ()
    warnings: tuple[str, ...] = ()
    secret_files: tuple[Path, ...] = ()
    secret_stores: tuple[ComponentState, ...] = ()
    aside: tuple[str, ...] = ()
    """A line for each document that is no component."""
    duplicates: tuple[str, ...] = ()
    """A line for each component that daprd would not start with, because another one has its name."""


def place(source: str, problem: Problem) -> str:
    """One line that an editor can jump to: `file:line: field: what is wrong; what to write`."""
    return f"{source}:{problem.line}: {problem}" if problem.line else f"{source}: {problem}"


def plan(
    reading: Reading,
    surroundings: Surroundings,
    serving: Iterable[Wanted] = (),
    *,
    keys_as_written: bool = False,
) -> Plan:
    """Decide what to serve. `serving` is what is served now: it stays where its new version is wrong.

    `keys_as_written` takes keys that could be another app's too, so that what is stored under them can be moved.
    """
    planning = _Planning(surroundings, {wanted.name: wanted for wanted in serving}, keys_as_written=keys_as_written)
    planning.tell_of_foreign(reading.foreign)
    for broken in reading.broken:
        planning.refuse_broken(broken, reading.found)
    for source in reading.empty:
        planning.keep_what_was_in(source, reading.found)
    for left in reading.left_aside:
        planning.leave_aside(left.source, left.line, left.why)
    visible = [found for found in reading.found if planning.sees(found)]
    planning.open_secret_stores([found for found in visible if not found.component.is_state_store])
    for found in visible:
        if found.component.is_state_store:
            planning.judge(found)
    planning.end_conflicts()
    return planning.result(duplicates_of(found.component for found in visible) if surroundings.is_daprd else ())


class _Planning:
    def __init__(self, surroundings: Surroundings, serving: Mapping[str, Wanted], *, keys_as_written: bool = False):
        self._surroundings = surroundings
        self._serving = serving
        self._keys_as_written = keys_as_written
        self._secrets = SecretStores({})
        self._secret_stores: list[ComponentState] = []
        self._wanted: list[Wanted] = []
        self._documents: dict[int, Found] = {}  # id of a component -> where it stands
        self._refused: list[Refused] = []
        self._hidden: list[Hidden] = []
        self._warnings: list[str] = []
        self._aside: list[str] = []

    def result(self, duplicates: tuple[str, ...]) -> Plan:
        return Plan(
            tuple(self._wanted),
            tuple(self._refused),
            tuple(self._hidden),
            tuple(self._warnings),
            self._secrets.files,
            tuple(self._secret_stores),
            tuple(self._aside),
            duplicates,
        )

    def tell_of_foreign(self, files: Iterable[str]) -> None:
        for source in files:
            self._warnings.append(f"{source}: not read, because the folder's index ({INDEX_FILE}) does not name it")

    def refuse_broken(self, broken: Broken, found: Sequence[Found]) -> None:
        """Refuse what cannot be read. Where it is not known who is meant, the file keeps all that it gave.

        What nobody means to be a component, and what was none before, is left aside.
        """
        if broken.is_unrelated and all(kept.source != broken.source for kept in self._serving.values()):
            for problem in broken.problems:
                self.leave_aside(broken.source, problem.line or 1, problem.text)
            return
        self._refused.append(Refused(broken.source, broken.name, "", "", tuple(broken.problems)))
        readable = {other.component.name for other in found}
        for kept in self._serving.values():
            is_meant = kept.name == broken.name if broken.name else kept.source == broken.source
            if is_meant and kept.name not in readable:
                self._keep(kept, broken.problems)

    def keep_what_was_in(self, source: str, found: Sequence[Found]) -> None:
        """Keep what an empty file gave before it was emptied: it may be about to be written."""
        readable = {other.component.name for other in found}
        kept = [each for each in self._serving.values() if each.source == source and each.name not in readable]
        problem = Problem("warning", "", "the file is empty", "what it held stays until it is written or deleted", 1)
        for each in kept:
            self._keep(each, [problem], note=problem.text)
        if kept:
            self._warnings.append(place(source, problem))

    def leave_aside(self, source: str, line: int, why: str) -> None:
        self._aside.append(f"{source}:{line}: left aside: {why}")

    def sees(self, found: Found) -> bool:
        component = found.component
        if component.is_visible_to(self._surroundings.app_id, self._surroundings.namespace):
            return True
        if component.is_state_store:
            why = _why_hidden(component, self._surroundings)
            self._hidden.append(Hidden(component.name, component.type, component.version, why))
        return False

    def open_secret_stores(self, others: Sequence[Found]) -> None:
        """Open those that are sound; of two with one name neither, since nobody knows which secrets are meant."""
        stores = {}
        files = []
        sound = [found for found in others if self._is_sound(found) and is_served(found.component)]
        names = [found.component.name for found in sound]
        for found in sound:
            values, problems = resolve(found.component, self._surroundings, None)
            if names.count(found.component.name) > 1:
                message = f"another secret store is called {quoted(found.component.name)}, so neither is used"
                problems.append(error("metadata.name", message, "give one of the two another name"))
            if problems:
                self._refuse(found, problems)
                continue
            environment = self._surroundings.environment
            store, file = open_secret_store(found.component, values, environment, Path(found.source).parent)
            stores[found.component.name] = store
            self._secret_stores.append(described(found.component, store))
            if file is not None:
                files.append(file)
        refused = {found.component.name for found in others if is_served(found.component)} - stores.keys()
        self._secrets = SecretStores(stores, files, refused)

    def judge(self, found: Found) -> None:
        """Want a state store, or refuse it."""
        if not self._is_sound(found):
            return
        component = found.component
        component_type = catalogue.component_type(component.type, component.version)
        assert component_type is not None, "the checks refuse unknown types"
        values, problems = resolve(component, self._surroundings, self._secrets)
        if not problems:
            settings, problems = catalogue.read_settings(component_type, values)
            problems = [problem for problem in problems if problem.is_error]
            problems += _placed(component_type, settings, component, self._surroundings)
        if problems:
            self._refuse(found, problems)
            return
        for name, why in settings_without_effect(component):
            self._warnings.append(f"{found.source}: {component.name}: {name} has no effect: {why}")
        try:
            keys = _key_scheme(component, settings, self._surroundings, as_written=self._keys_as_written)
        except ValueError as wrong:
            message, _, advice = str(wrong).partition("; ")
            if is_hidden(settings["keyPrefix"]):  # it would be quoted
                message = "with this keyPrefix, another app's key could be the same"
                advice = "write a keyPrefix that neither holds '||' or, with keyScheme dash, '-' nor ends with '|'"
            name = "keyScheme" if settings["keyScheme"] == "dash" else "keyPrefix"
            self._refuse(found, [error(metadata_path(name), message, advice)])
            return
        self._documents[id(component)] = found
        self._wanted.append(Wanted(component, found.source, component_type, settings, keys))

    def end_conflicts(self) -> None:
        """Refuse the later of two that cannot both be served; what is being served counts as the earlier.

        Of two namespaces' components neither is served where no namespace is known: the order of the files would say
        which database is meant.
        """
        namespaces_meet = self._surroundings.namespace is None
        while True:
            self._wanted.sort(key=self._age)  # again each time: what is kept in place of what is refused is served
            components = [wanted.component for wanted in self._wanted]
            conflicts = problems_among(components, namespaces_meet=namespaces_meet)
            if not conflicts:
                break
            component, _ = conflicts[0]
            index = next(i for i, each in enumerate(components) if each is component)
            later = self._wanted.pop(index)
            self._end(later, [problem for other, problem in conflicts if other is component], index)
            for rival in [each for each in self._wanted if are_rivals(each.component, component)]:
                if self._age(rival) > _SAME_FILE:
                    self._wanted.remove(rival)
                    both = problems_among([component, rival.component], namespaces_meet=True)
                    self._end(rival, [problem for _, problem in both], index)

    def _end(self, wanted: Wanted, problems: Sequence[Problem], at: int) -> None:
        found = self._documents.get(id(wanted.component))
        if found is not None:
            self._refuse(found, problems, at=at)

    def _age(self, wanted: Wanted) -> int:
        """What is served comes first, also from another file than before."""
        served = self._serving.get(wanted.name)
        if served is None:
            return _NEW
        if served.component == wanted.component:
            return _AS_SERVED
        return _SAME_FILE if served.source == wanted.source else _NAMESAKE

    def _is_sound(self, found: Found) -> bool:
        problems = problems_of(found.component, keys_as_written=self._keys_as_written)
        errors = [problem for problem in problems if problem.is_error]
        placed = found.place([*found.remarks, *(problem for problem in problems if not problem.is_error)])
        self._warnings += [place(found.source, problem) for problem in placed]
        if errors:
            self._refuse(found, errors)
        return not errors

    def _refuse(self, found: Found, problems: Sequence[Problem], at: int | None = None) -> None:
        component = found.component
        placed = tuple(found.place(problems))
        self._refused.append(
            Refused(found.source, component.name, component.type, component.version, placed, component.ignore_errors)
        )
        if component.ignore_errors and self._surroundings.is_daprd:
            return
        if component.name in self._serving and all(wanted.name != component.name for wanted in self._wanted):
            self._keep(self._serving[component.name], placed, at)

    def _keep(
        self, wanted: Wanted, problems: Sequence[Problem], at: int | None = None, note: str | None = None
    ) -> None:
        note = note or "its latest version is refused: " + "; ".join(str(problem) for problem in problems)
        kept = Wanted(wanted.component, wanted.source, wanted.type, wanted.settings, wanted.keys, note)
        if all(other.name != kept.name for other in self._wanted):
            self._wanted.insert(len(self._wanted) if at is None else at, kept)


def _why_hidden(component: Component, surroundings: Surroundings) -> str:
    if component.scopes and surroundings.app_id not in component.scopes:
        return (
            f"it exists, but app {quoted(surroundings.app_id)} is not in its scopes "
            f"[{', '.join(component.scopes)}]: add it there"
        )
    return (
        f"it exists, but in namespace {quoted(component.namespace or '')}, and app {quoted(surroundings.app_id)} "
        f"runs in {quoted(surroundings.namespace or '')}: write a component for that namespace"
    )


def _placed(
    component_type: ComponentType, settings: dict[str, Setting], component: Component, surroundings: Surroundings
) -> Iterator[Problem]:
    """Give an embedded database that names no file one in the user's data folder, as the catalogue promises."""
    for name in (each.name for each in component_type.fields if each.names_a_file):
        if settings.get(name) is not None:
            continue
        if surroundings.is_daprd:
            yield error(metadata_path(name), "missing connection string", "name a file; Dapr has no default either")
        elif surroundings.data_folder is None:
            message = "no file is named, and there is no home folder to put one into"
            yield error(metadata_path(name), message, "add it, or set HOME or XDG_DATA_HOME")
        else:
            settings[name] = str(surroundings.data_folder / f"{component.name}.db")


def _key_scheme(
    component: Component, settings: Mapping[str, Setting], surroundings: Surroundings, *, as_written: bool
) -> KeyScheme:
    """The key scheme. Raises ValueError where stored keys could be another app's."""
    written = component.setting("keyPrefix") or ""
    if not as_written and ("{namespace}" in written or "{appID}" in written):
        refuse_tokens(surroundings.app_id, surroundings.namespace if "{namespace}" in written else None)
    return KeyScheme(
        store=component.name,
        app_id=surroundings.app_id,
        namespace=surroundings.namespace,
        strategy=reveal(settings["keyPrefix"]),
        separator=DASH if settings["keyScheme"] == "dash" else SEPARATOR,
        holds_actors=settings["actorStateStore"] is True,
        as_written=as_written,
    )
