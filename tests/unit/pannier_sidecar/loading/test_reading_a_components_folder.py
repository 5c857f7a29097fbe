"""A folder is read as Dapr reads it, and counts as changed only if a byte has changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pannier_sidecar.loading.folder import FolderUnreadableError, FolderWatch, Reading
from pannier_sidecar.loading.planning import plan
from pannier_sidecar.loading.resolving import ResolutionContext


def read(*folders: Path) -> Reading:
    reading = FolderWatch(folders).read()
    assert reading is not None
    return reading


def names(reading: Reading) -> list[str]:
    return [found.component.name for found in reading.components]


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


def test_other_kinds_are_skipped_with_their_line(folder):
    folder.write("c.yaml", "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata:\n  name: c\nspec: {}\n")
    reading = read(folder.path)
    assert [(left.line, left.why) for left in reading.skipped] == [
        (2, "Configuration 'c' takes effect by --config FILE")
    ]
    assert not reading.invalid


def test_a_broken_file_is_reported_with_its_line_and_the_others_are_read(folder):
    folder.write("a.yaml", "kind: Component\n  bad: [\n")
    folder.put("b")
    reading = read(folder.path)
    assert names(reading) == ["b"]
    assert [broken.source for broken in reading.invalid] == [str(folder.path / "a.yaml")]
    assert reading.invalid[0].problems[0].line == 2


FOREIGN = {
    "package.json": '{"name": "shop", "version": "1.0.0", "scripts": {"start": "node ."}}',
    "tsconfig.json": '{\n  // strict\n  "compilerOptions": {"strict": true,},\n}',
    "names.json": '["a", "b"]',
    "values.yaml": "image:\n  tag: {{ .Values.tag }}\nkind: Deployment\n",
    "list.yaml": "- a\n- b\n",
    "text.yaml": "not: [closed\n",
    "large.json": '"' + "x" * (3 * 1024 * 1024) + '"',
    "data.yml": "a: \x01",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_is_no_component_is_skipped_in_one_line(folder, name):
    folder.put("a")
    folder.write(name, FOREIGN[name])
    decided = plan(read(folder.path), ResolutionContext("shop"))
    assert [each.name for each in decided.desired] == ["a"] and decided.refused == ()
    (line,) = decided.skipped
    assert f"{name}:" in line and ": skipped: " in line and "\n" not in line


def test_a_pipe_in_the_folder_is_not_read(folder):
    folder.put("a")
    os.mkfifo(folder.path / "b.yaml")
    assert names(read(folder.path)) == ["a"]


def test_a_file_that_is_too_large_is_refused(folder):
    with (folder.path / "large.yaml").open("wb") as file:
        file.truncate(50 * 1024**3)  # a sparse file
    assert read(folder.path).invalid[0].problems[0].message == "the file is larger than 1 MiB"


def test_a_component_that_is_broken_is_never_skipped(folder):
    for number, text in enumerate(("kind: Component\n - x", "apiVersion: dapr.io/v1alpha1\nkind: [", '{"kind": "Comp')):
        folder.write(f"{number}.yaml", text)
    decided = plan(read(folder.path), ResolutionContext("shop"))
    assert len(decided.refused) == 3 and decided.skipped == ()


def test_a_file_that_was_a_component_is_not_skipped(folder):
    folder.put("a")
    serving = plan(read(folder.path), ResolutionContext("shop")).desired
    for text in ("api", "x" * (1024 * 1024 + 1), "{", "- a"):
        folder.write("a.yaml", text)
        decided = plan(read(folder.path), ResolutionContext("shop"), serving)
        assert [each.name for each in decided.desired] == ["a"], text
        assert decided.desired[0].note and decided.skipped == ()


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_an_empty_file_keeps_its_stores_until_it_is_removed_or_written_again(folder, text):
    path = folder.put("a")
    folder.put("b")
    serving = plan(read(folder.path), ResolutionContext("shop")).desired
    folder.write("a.yaml", text)
    decided = plan(read(folder.path), ResolutionContext("shop"), serving)
    assert sorted(each.name for each in decided.desired) == ["a", "b"] and decided.refused == ()
    assert decided.warnings == (
        f"{path}:1: the file is empty; its previous content is used until it is written or deleted",
    )
    again = plan(read(folder.path), ResolutionContext("shop"), decided.desired)
    assert sorted(each.name for each in again.desired) == ["a", "b"]
    folder.write("c.yaml", folder.component("a", ttlInSeconds="60"))
    moved = plan(read(folder.path), ResolutionContext("shop"), decided.desired)
    assert {each.name: each.default_ttl for each in moved.desired} == {"a": 60, "b": None}
    (folder.path / "c.yaml").unlink()
    path.unlink()
    assert [each.name for each in plan(read(folder.path), ResolutionContext("shop"), decided.desired).desired] == ["b"]


def test_a_file_that_is_empty_from_the_start_is_not_reported(folder):
    folder.write("a.yaml", "")
    assert plan(read(folder.path), ResolutionContext("shop")) == plan(Reading(), ResolutionContext("shop"))


def test_a_file_whose_components_are_commented_out_has_none(folder):
    folder.put("a")
    serving = plan(read(folder.path), ResolutionContext("shop")).desired
    folder.write("a.yaml", "".join(f"# {line}\n" for line in folder.component("a").splitlines()))
    assert plan(read(folder.path), ResolutionContext("shop"), serving).desired == ()


def test_a_missing_folder_is_one_clear_error(tmp_path):
    with pytest.raises(FolderUnreadableError, match="components folder .*nowhere: no such file or directory"):
        FolderWatch([tmp_path / "nowhere"]).read()


def test_a_folder_that_may_be_missing_is_empty_until_it_is_there(folder, tmp_path):
    watch = FolderWatch([tmp_path / "later"], may_be_missing=True)
    assert watch.read() == Reading()
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "a.yaml").write_text(folder.component("a"))
    assert watch.has_changed()
    reading = watch.read()
    assert reading is not None and names(reading) == ["a"]


def test_touching_a_file_is_no_change(folder):
    path = folder.put("a")
    watch = FolderWatch([folder.path])
    watch.read()
    os.utime(path, ns=(1, 1))
    assert watch.has_changed()
    assert watch.read() is None
    assert not watch.has_changed()


def test_a_change_of_one_byte_is_a_change(folder):
    path = folder.put("a")
    watch = FolderWatch([folder.path])
    watch.read()
    path.write_text(folder.component("b"))
    os.utime(path, ns=(1, 1))  # whatever the clock's resolution
    assert watch.has_changed()
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
    assert watch.has_changed()
    reading = watch.read()
    assert reading is not None and names(reading) == ["two"]


def test_a_file_that_is_being_written_is_read_when_it_is_complete(folder, monkeypatch):
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
    assert reading is not None and (names(reading), reading.invalid) == (["a"], ())


def test_a_watched_secrets_file_counts_as_part_of_the_folder(folder, tmp_path):
    folder.put("a")
    secrets = tmp_path / "secrets.json"
    secrets.write_text("{}")
    watch = FolderWatch([folder.path])
    watch.read()
    watch.also_watch([secrets])
    watch.read()
    secrets.write_text('{"a": "b"}')
    assert watch.has_changed()
    assert watch.read() is not None


def test_an_unreadable_file_is_broken_and_no_crash(folder):
    (folder.path / "a.yaml").symlink_to("nowhere.yaml")
    reading = read(folder.path)
    assert str(reading.invalid[0].problems[0].message) == "cannot be read: no such file or directory"
