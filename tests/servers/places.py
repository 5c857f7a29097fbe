"""Places between which state is moved: each has a component file, and a store that is opened in addition to the
command's.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from servers.component_files import component
from servers.pannier_process import Pannier

from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Store, StoredValue
from pannier_sidecar.stores import registry

PAGE = 1000


@dataclass(frozen=True)
class Place:
    """A component and what it describes."""

    file: Path
    store_type: str
    settings: dict[str, Any]
    more: dict[str, str] = field(default_factory=dict)
    """Settings that are not the store's own, such as keyPrefix."""

    def __post_init__(self) -> None:
        self.file.write_text(json.dumps(self.component(self.file.stem)))

    def component(self, name: str) -> dict[str, Any]:
        entries = {entry: str(value) for entry, value in (self.settings | self.more).items()}
        manifest: dict[str, Any] = yaml.safe_load(component(name, self.store_type, entries))
        return manifest

    def under(self, file: Path, **more: str) -> Place:
        """Return the same place, described by another component."""
        return Place(file, self.store_type, self.settings, more)

    @asynccontextmanager
    async def store(self) -> AsyncIterator[Store]:
        store = registry.load(self.store_type)(self.settings)
        await store.open()
        try:
            yield store
        finally:
            await store.close()

    async def save(self, *writes: Set) -> None:
        async with self.store() as store:
            assert not any(await store.bulk_write(writes))

    async def values(self) -> dict[str, bytes]:
        """Everything that is stored, by stored key."""
        return {key: found.value for key, found in (await self.found()).items()}

    async def found(self) -> dict[str, StoredValue]:
        async with self.store() as store:
            keys = await listed(store)
            found = await store.bulk_get([Get(key) for key in keys])
        return {key: entry for key, entry in zip(keys, found, strict=True) if isinstance(entry, StoredValue)}


async def listed(store: Store) -> list[str]:
    keys: dict[str, None] = {}
    cursor = None
    while True:
        page = await store.keys("", PAGE, cursor)
        keys.update(dict.fromkeys(page.keys))
        cursor = page.cursor
        if cursor is None:
            return list(keys)


@dataclass(frozen=True)
class Outcome:
    """A command's output and exit code."""

    code: int
    out: list[str]
    err: list[str]


class Desk:
    """Where commands run: a folder, and a data folder that all of them share."""

    def __init__(self, folder: Path):
        self.folder = folder

    def start(self, *arguments: object, **environment: str) -> Pannier:
        return Pannier(*arguments, environment={"XDG_DATA_HOME": str(self.folder), **environment}, folder=self.folder)

    def run(self, *arguments: object, **environment: str) -> Outcome:
        pannier = self.start(*arguments, **environment)
        try:
            return outcome(pannier)
        finally:
            pannier.close()

    def copy(self, source: object, target: object, *flags: object) -> Outcome:
        return self.run("copy", "--from", source, "--to", target, *flags)


def outcome(pannier: Pannier) -> Outcome:
    code = pannier.end()
    return Outcome(code, pannier.out.splitlines(), pannier.err.splitlines())


def numbered(count: int, prefix: str = "app||") -> Sequence[Set]:
    return [Set(f"{prefix}key {number}", b'{"number": %d}' % number) for number in range(count)]
