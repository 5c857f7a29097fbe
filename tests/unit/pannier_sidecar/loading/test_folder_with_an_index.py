"""An index may list the files of a folder: then no other file is read, and none that differs from the index."""

from __future__ import annotations

from pathlib import Path

import pytest

from pannier_crds.folder import INDEX_FILE, VERSION_FILE, index_of
from pannier_sidecar.loading.folder import FolderUnreadableError, FolderWatch, Reading
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.loading.resolving import ResolutionContext


def index(path: Path) -> None:
    """Write an index of every existing file."""
    files = {each.name: each.read_bytes() for each in path.iterdir() if each.name not in (INDEX_FILE, VERSION_FILE)}
    (path / INDEX_FILE).write_bytes(index_of(files))


def names(reading: Reading | None) -> list[str]:
    assert reading is not None
    return [found.component.name for found in reading.components]


def test_a_file_that_is_not_in_the_index_is_reported_and_not_read(folder):
    folder.put("a")
    index(folder.path)
    folder.put("smuggled")

    reading = FolderWatch([folder.path]).read()

    assert reading is not None
    assert names(reading) == ["a"]
    warnings = plan(reading, ResolutionContext("cart")).warnings
    assert warnings == (f"{folder.path}/smuggled.yaml: not read, because the folder's index (_index) does not name it",)


def test_a_file_that_is_added_beside_an_index_is_not_served(folder):
    folder.put("a")
    index(folder.path)
    watch = FolderWatch([folder.path])
    watch.read()
    folder.put("smuggled")

    assert watch.has_changed()
    assert names(watch.read()) == ["a"]
    assert not watch.has_changed()


@pytest.mark.parametrize("file", ["a.yaml", "_secrets"])
def test_nothing_is_read_while_a_file_differs_from_the_index(folder, file):
    folder.put("a")
    folder.write("_secrets", "{}")
    index(folder.path)
    watch = FolderWatch([folder.path])
    watch.read()
    right = (folder.path / file).read_bytes()
    folder.write(file, folder.component("a", actorStateStore="true"))

    with pytest.raises(FolderUnreadableError, match=rf"{file} does not match its index \(_index\)"):
        watch.read()
    (folder.path / file).unlink()
    with pytest.raises(FolderUnreadableError, match=file):
        watch.read()

    (folder.path / file).write_bytes(right)
    folder.put("b")
    index(folder.path)
    assert names(watch.read()) == ["a", "b"]


def test_an_index_that_was_there_has_to_stay(folder):
    folder.put("a")
    index(folder.path)
    watch = FolderWatch([folder.path])
    watch.read()
    (folder.path / INDEX_FILE).unlink()
    folder.put("smuggled")

    assert watch.has_changed()
    with pytest.raises(FolderUnreadableError, match=r"its index \(_index\) is missing"):
        watch.read()


@pytest.mark.parametrize("text", ["", "[]", '{"files": ["a.yaml"]}', '{"files": {"a.yaml": 1}}', "\xff"])
def test_with_an_unreadable_index_nothing_is_read(folder, text):
    folder.put("a")
    (folder.path / INDEX_FILE).write_bytes(text.encode("latin-1"))

    with pytest.raises(FolderUnreadableError, match="cannot be read"):
        FolderWatch([folder.path]).read()


def test_the_index_of_one_folder_says_nothing_of_another(folder, tmp_path):
    folder.put("a")
    index(folder.path)
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "b.yaml").write_text(folder.component("b"))

    assert names(FolderWatch([folder.path, plain]).read()) == ["a", "b"]
