"""While a file is being written, or after its writer was killed, its previous content is used until it is complete or
removed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pannier_crds.problems import Problem
from pannier_sidecar.loading.folder import FolderWatch
from pannier_sidecar.loading.half_written import Content, WholeFiles

OLD = b"spec:\n  type: state.redis\nscopes:\n- billing\n"
SHORT = b"spec:\n  type: state.sqlite\n"
NEW = SHORT + b"scopes:\n- shipping\n- orders\n"


@dataclass
class Folder:
    """The contents that are used, second by second."""

    files: WholeFiles = field(default_factory=lambda: WholeFiles(2.0))
    now: float = 100.0

    def holds(self, after: float = 0.0, **contents: Content) -> dict[str, Content]:
        self.now += after
        return self.files.of(contents, self.now)


def test_the_initial_content_counts() -> None:
    folder = Folder()
    assert folder.holds(a=b"", b=OLD) == {"a": b"", "b": OLD}
    assert not folder.files.is_waiting


def test_changed_content_counts_at_once() -> None:
    folder = Folder()
    folder.holds(a=OLD)
    assert folder.holds(a=NEW) == {"a": NEW}
    assert not folder.files.is_waiting


def test_shorter_content_counts_after_it_has_stayed_the_same() -> None:
    folder = Folder()
    folder.holds(a=OLD)
    assert folder.holds(a=SHORT) == {"a": OLD}
    assert folder.holds(1.9, a=SHORT) == {"a": OLD}
    assert folder.files.is_waiting
    assert folder.holds(0.2, a=SHORT) == {"a": SHORT}
    assert not folder.files.is_waiting


def test_changed_content_that_arrives_in_pieces_counts_when_it_is_complete() -> None:
    folder = Folder()
    folder.holds(a=OLD)
    lines = NEW.splitlines(keepends=True)
    for count in range(len(lines) + 1):
        assert folder.holds(1.5, a=b"".join(lines[:count])) == {"a": OLD}
    assert folder.holds(1.9, a=NEW) == {"a": OLD}
    assert folder.holds(0.2, a=NEW) == {"a": NEW}
    assert not folder.files.is_waiting


def test_a_missing_file_counts_until_it_stays_missing() -> None:
    folder = Folder()
    folder.holds(a=OLD, b=OLD)
    assert folder.holds(b=OLD) == {"a": OLD, "b": OLD}
    assert folder.files.is_waiting
    assert folder.holds(1.9, b=OLD) == {"a": OLD, "b": OLD}
    assert folder.holds(0.2, b=OLD) == {"b": OLD}
    assert not folder.files.is_waiting


def test_a_file_that_comes_back_with_new_content_replaces_the_old_one_at_once() -> None:
    folder = Folder()
    folder.holds(a=OLD)
    folder.holds()
    assert folder.holds(1.0, a=NEW) == {"a": NEW}


def test_a_renamed_file_is_served_at_once_under_its_new_name() -> None:
    folder = Folder()
    folder.holds(a=OLD)
    assert folder.holds(b=OLD) == {"b": OLD}


def test_each_beginning_of_the_previous_content_counts_as_half_of_it() -> None:
    for length in range(1, len(OLD)):
        folder = Folder()
        folder.holds(a=OLD)
        beginning = OLD[:length]
        assert folder.holds(a=beginning) == {"a": OLD}
        kept = folder.holds(3.0, a=beginning)["a"]
        if OLD[length : length + 1] == b"\n" or beginning.endswith(b"\n"):
            assert kept == beginning
        else:
            assert isinstance(kept, Problem)
            assert kept.text == (
                "the file ends in the middle of a line that was longer before; write the rest of it, or a line break "
                "behind it if that is all"
            )
            assert kept.line == beginning.count(b"\n") + 1
            assert folder.holds(60.0, a=beginning)["a"] == kept
            folder.holds(a=beginning + b"\n")
            assert folder.holds(2.1, a=beginning + b"\n") == {"a": beginning + b"\n"}
            assert folder.holds(a=OLD) == {"a": OLD}


def test_an_emptied_file_that_is_written_bit_by_bit_is_compared_with_its_last_complete_content() -> None:
    folder = Folder()
    folder.holds(a=OLD)
    folder.holds(a=b"")
    for _ in range(3):
        assert folder.holds(3.0, a=b"") == {"a": b""}
        assert not folder.files.is_waiting
    assert folder.holds(a=OLD[:20]) == {"a": OLD}
    assert isinstance(folder.holds(3.0, a=OLD[:20])["a"], Problem)
    assert folder.holds(a=OLD) == {"a": OLD}


def test_a_file_without_the_line_break_that_it_ended_with_waits() -> None:
    folder = Folder()
    folder.holds(a=OLD)
    assert folder.holds(a=NEW.rstrip()) == {"a": OLD}
    assert folder.holds(2.1, a=NEW.rstrip()) == {"a": NEW.rstrip()}


def test_a_file_that_cannot_be_read_for_a_while_is_compared_with_its_last_complete_content() -> None:
    folder = Folder()
    folder.holds(a=OLD)
    unreadable = Problem("error", "", "cannot be read", line=1)
    assert folder.holds(a=unreadable) == {"a": unreadable}
    assert folder.holds(a=OLD[:20]) == {"a": OLD}


@pytest.mark.parametrize("content", [OLD[:20], b"", None])
def test_files_that_are_exchanged_all_at_once_count_at_once(content: bytes | None) -> None:
    files = WholeFiles(2.0)
    files.of({"/components/a": OLD}, 0.0, {"/components"})
    found = {} if content is None else {"/components/a": content}
    assert files.of(found, 1.0, {"/components"}) == found


def test_a_file_without_stores_is_not_remembered_and_its_removal_hides_no_others() -> None:
    folder = Folder()
    folder.holds(a=OLD, b=b"[1]")
    folder.files.remember_only({"a"})
    assert folder.holds() == {"a": OLD}
    assert folder.holds(b=b"[1]") == {"b": b"[1]"}, "a may have become b"


def test_in_a_folder_of_the_kubelet_a_missing_file_counts_at_once(folder) -> None:
    for version, names in (("one", ("a", "b")), ("two", ("a",))):
        (folder.path / f"..{version}").mkdir()
        for name in names:
            (folder.path / f"..{version}" / f"{name}.yaml").write_text(folder.component(name))
    link = folder.path / "..data"
    link.symlink_to("..one")
    for name in ("a", "b"):
        (folder.path / f"{name}.yaml").symlink_to(f"..data/{name}.yaml")
    watch = FolderWatch([folder.path], patience=1000.0)
    watch.read()
    fresh = folder.path / "..data_tmp"
    fresh.symlink_to("..two")
    fresh.rename(link)
    reading = watch.read()
    assert reading is not None
    assert [found.component.name for found in reading.components] == ["a"]
    assert [Path(broken.source).name for broken in reading.invalid] == ["b.yaml"], "its link leads nowhere yet"
    (folder.path / "b.yaml").unlink()
    reading = watch.read()
    assert reading is not None and reading.invalid == () and not watch.has_changed()


def test_a_file_that_is_missing_for_a_moment_changes_nothing(folder) -> None:
    path = folder.put("a")
    watch = FolderWatch([folder.path], patience=1000.0)
    watch.read()
    path.unlink()
    assert watch.has_changed() and watch.read() is None and watch.has_changed()
    folder.put("a")
    assert watch.read() is None and not watch.has_changed()
