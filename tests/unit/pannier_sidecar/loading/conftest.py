"""A components folder to write into, and a supervisor over it that is stopped at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from pannier_sidecar.loading.folder import FolderWatch
from pannier_sidecar.loading.resolving import ResolutionContext
from pannier_sidecar.loading.supervisor import StoreSupervisor
from pannier_sidecar.observing.metrics import Unobserved


class Opened(Unobserved):
    """An observer that remembers every attempt to open a store."""

    def __init__(self) -> None:
        self.attempts: list[tuple[str, str, bool]] = []

    def store_opened(self, store: str, store_type: str, succeeded: bool) -> None:
        self.attempts.append((store, store_type, succeeded))


class Folder:
    """A components folder."""

    def __init__(self, path: Path):
        self.path = path

    def write(self, file: str, text: str) -> Path:
        path = self.path / file
        path.write_text(text, encoding="utf-8")
        return path

    def component(self, name: str, kind: str = "state.in-memory", *, more: str = "", **metadata: str) -> str:
        """The text of a component; `more` goes to its top level."""
        items = "".join(f"\n    - name: {key}\n      value: {value!r}" for key, value in metadata.items())
        return (
            f"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n  name: {name}\n"
            f"spec:\n  type: {kind}\n  version: v1\n  metadata:{items or ' []'}\n{more}"
        )

    def put(self, name: str, kind: str = "state.in-memory", *, more: str = "", **metadata: str) -> Path:
        """Write a component into a file of its name."""
        return self.write(f"{name}.yaml", self.component(name, kind, more=more, **metadata))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    path = tmp_path / "components"
    path.mkdir()
    return Folder(path)


@pytest.fixture
async def keep(folder: Folder) -> AsyncIterator[Callable[..., StoreSupervisor]]:
    """Make a supervisor over the folder: `keep(app_id="a", environment={...})`."""
    keepers = []

    def make(**context: object) -> StoreSupervisor:
        source = FolderWatch([folder.path])
        about = ResolutionContext(**{"app_id": "shop", **context})  # type: ignore[arg-type]
        keepers.append(StoreSupervisor(source, about, Opened(), poll_interval=0.02))
        return keepers[-1]

    yield make
    for supervisor in keepers:
        await supervisor.stop(1)


async def eventually(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until something is true, and fail after `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not holds():
        assert loop.time() < deadline, "it was not true in time"
        await asyncio.sleep(0.01)


@pytest.fixture(name="eventually")
def eventually_fixture() -> object:
    return eventually
