"""Locates the component that FILE#NAME names, read and resolved as `serve` does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pannier_crds.digests import blake2b
from pannier_crds.problems import listed, one_line
from pannier_crds.secret import Secret, reveal
from pannier_sidecar.loading.folder import FolderUnreadableError, Reading, component_files, parse, read_contents
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.moving.items import MoveError

if TYPE_CHECKING:
    from pannier_sidecar.loading.plans import DesiredStore
    from pannier_sidecar.loading.resolving import ResolutionContext


def locate(where: str, context: ResolutionContext, *, keys_as_written: bool = False) -> DesiredStore:
    """Return the store that `where` names: a file or a folder, and after `#` a component. Raises MoveError.

    `keys_as_written` accepts a key scheme that apps may not use, because it gives different keys the same stored key.
    """
    path, name = _split(where)
    reading = _only(_read(path), name)
    names = sorted({found.component.name for found in reading.components if found.component.is_state_store})
    if len(names) > 1:
        raise MoveError(f"{path} holds several state stores: {listed(names)}; write {path}#{names[0]}")
    verdict = plan(reading, context, keys_as_written=keys_as_written)
    if wrong := [line for refused in verdict.refused for line in refused.lines()]:
        raise MoveError("\n".join(wrong))
    for waiting in verdict.pending:
        raise MoveError(
            f"{path}: {waiting.name} takes secrets from a store on another machine, which only a "
            "running sidecar reads; write a copy of the component with envRef or secretstores.local.file, and name that"
        )
    for hidden in verdict.hidden:
        raise MoveError(f"{path}: {hidden.name}: {hidden.why}")
    if not verdict.desired:
        raise MoveError(f"{path} holds no state store" + (f" called '{one_line(name)}'" if name else ""))
    _refuse_memory(path, verdict.desired[0])
    return verdict.desired[0]


def place_of(desired: DesiredStore) -> bytes:
    """Return a digest of the place where a store keeps its data: its type and the settings that choose the place."""
    settings = sorted(
        (
            field.name,
            reveal(value) if isinstance(value := desired.settings.get(field.canonical_name), Secret) else value,
        )
        for field in desired.type.fields
        if field.places_data and field.name != "keyScheme"  # stored keys show it
    )
    return blake2b(repr((desired.type.name, settings)).encode(), digest_size=16).digest()


def _split(where: str) -> tuple[str, str]:
    if Path(where).exists() or "#" not in where:
        return where, ""
    path, _, name = where.rpartition("#")
    return path, name


def _read(name: str) -> Reading:
    path = Path(name)
    if not path.exists():
        raise MoveError(f"{name}: no such file or folder; write the path of a component file")
    try:
        return parse(read_contents(component_files(path) if path.is_dir() else [path]))
    except FolderUnreadableError as error:
        raise MoveError(str(error)) from error


def _only(reading: Reading, name: str) -> Reading:
    """Leave out state stores with other names. An unreadable component stays if it may be the one that is meant."""
    found = tuple(
        found
        for found in reading.components
        if not name or not found.component.is_state_store or found.component.name == name
    )
    invalid = tuple(invalid for invalid in reading.invalid if not name or invalid.name in ("", name))
    return Reading(found, invalid)


def _refuse_memory(path: str, desired: DesiredStore) -> None:
    where = reveal(desired.settings.get("connectionString"))
    if desired.type.name == "state.in-memory" or ":memory:" in where or "mode=memory" in where:
        raise MoveError(
            f"{path}: {desired.name} keeps its state in the memory of the process that serves it, where nobody else "
            "reaches it; name a store that keeps it elsewhere"
        )
