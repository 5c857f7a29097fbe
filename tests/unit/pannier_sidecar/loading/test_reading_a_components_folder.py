"""A folder is read as Dapr reads one, and counts as changed only when a byte of it changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pannier_sidecar.loading.folder import FolderUnreadable, FolderWatch, Reading


def read(*folders: Path) -> Reading:
    reading = FolderWatch(folders).read()
    assert reading is not None
    return reading


def names(reading: Reading) -> list[str]:
    return [found.component.name for found in reading.found]


def test_yaml_yml_and_json_are_read_and_nothing_else(folder):
    folder.put("a")
    folder.write("b.yml", folder.component("b"))
    folder.write(
        "c.json",
        '{"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": "c"},'
        ' "spec": {"type": "state.in-memory", "version": "v1", "metadata": []}}',
    )
    folder.write("d.yaml.bak", folder.component("d"))
    folder.write(".e.yaml", folder.component("e"))
    assert names(read(folder.path)) == ["a", "b", "c"]


def test_folders_in_the_folder_are_left_alone(folder):
    inner = folder.path / "inner.yaml"
    inner.mkdir()
    (inner / "a.yaml").write_text(folder.component("a"))
    assert names(read(folder.path)) == []


def test_several_documents_in_one_file_are_several_components(folder):
    folder.write("all.yaml", folder.component("a") + "---\n" + folder.component("b"))
    assert names(read(folder.path)) == ["a", "b"]


def test_several_folders_are_read_one_after_the_other(folder, tmp_path):
    folder.put("a")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.yaml").write_text(folder.component("b"))
    assert names(read(folder.path, tmp_path / "more")) == ["a", "b"]


def test_other_kinds_are_left_aside_with_their_line(folder):
    folder.write("c.yaml", "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec: {}\n")
    reading = read(folder.path)
    assert [(left.line, left.why) for left in reading.left_aside] == [(2, "'Configuration' is not a Component")]
    assert not reading.broken


def test_a_broken_file_is_told_with_its_line_and_the_others_are_read(folder):
    folder.write("a.yaml", "kind: Component\n  bad: [\n")
    folder.put("b")
    reading = read(folder.path)
    assert names(reading) == ["b"]
    assert [broken.source for broken in reading.broken] == [str(folder.path / "a.yaml")]
    assert reading.broken[0].problems[0].line == 2


def test_a_missing_folder_is_one_clear_error(tmp_path):
    with pytest.raises(FolderUnreadable, match="components folder .*nowhere: no such file or directory"):
        FolderWatch([tmp_path / "nowhere"]).read()


def test_a_folder_that_may_be_missing_is_empty_until_it_is_there(folder, tmp_path):
    watch = FolderWatch([tmp_path / "later"], may_be_missing=True)
    assert watch.read() == Reading()
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "a.yaml").write_text(folder.component("a"))
    assert watch.has_news()
    reading = watch.read()
    assert reading is not None and names(reading) == ["a"]


def test_touching_a_file_is_no_change(folder):
    path = folder.put("a")
    watch = FolderWatch([folder.path])
    watch.read()
    os.utime(path, ns=(1, 1))
    assert watch.has_news()
    assert watch.read() is None
    assert not watch.has_news()


def test_a_change_of_one_byte_is_a_change(folder):
    path = folder.put("a")
    watch = FolderWatch([folder.path])
    watch.read()
    path.write_text(folder.component("b"))
    os.utime(path, ns=(1, 1))  # whatever the clock's resolution
    assert watch.has_news()
    reading = watch.read()
    assert reading is not None and names(reading) == ["b"]


def test_a_swap_of_the_kubelets_link_is_a_change(folder):
    for version in ("one", "two"):
        data = folder.path / f"..{version}"
        data.mkdir()
        (data / "store.yaml").write_text(folder.component(version))
    link = folder.path / "..data"
    link.symlink_to("..one")
    (folder.path / "store.yaml").symlink_to("..data/store.yaml")
    watch = FolderWatch([folder.path])
    reading = watch.read()
    assert reading is not None and names(reading) == ["one"]
    fresh = folder.path / "..data_tmp"
    fresh.symlink_to("..two")
    fresh.rename(link)
    assert watch.has_news()
    reading = watch.read()
    assert reading is not None and names(reading) == ["two"]


def test_a_file_that_is_being_written_is_read_when_it_is_whole(folder, monkeypatch):
    path = folder.put("a")
    watch = FolderWatch([folder.path])
    watch.read()
    path.write_text("")
    still_to_come = [folder.component("a") + "# mended\n", folder.component("a")[:40]]

    def go_on_writing(seconds: float) -> None:
        if still_to_come:
            path.write_text(still_to_come.pop())

    monkeypatch.setattr("pannier_sidecar.loading.folder.sleep", go_on_writing)
    reading = watch.read(settling=1.0)
    assert reading is not None and (names(reading), reading.broken) == (["a"], ())


def test_a_watched_secrets_file_counts_as_part_of_the_folder(folder, tmp_path):
    folder.put("a")
    secrets = tmp_path / "secrets.json"
    secrets.write_text("{}")
    watch = FolderWatch([folder.path])
    watch.read()
    watch.also_watch([secrets])
    watch.read()
    secrets.write_text('{"a": "b"}')
    assert watch.has_news()
    assert watch.read() is not None


def test_an_unreadable_file_is_broken_and_no_crash(folder):
    (folder.path / "a.yaml").symlink_to("nowhere.yaml")
    reading = read(folder.path)
    assert str(reading.broken[0].problems[0].message) == "cannot be read: no such file or directory"
