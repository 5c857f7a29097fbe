"""`pannier export` and `pannier import`: an app's state as lines of JSON, and back into any store."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from servers.pannier_process import COMMAND
from servers.places import Desk, Place, numbered

from pannier_sidecar.state.requests import Set

Route = tuple[Place, Place]

EVERYTHING = (
    *numbered(500),
    Set("app||pretty", b'{\n  "a": 1\n}'),
    Set("app||exact", b'{"a" :1.0,"a":2}'),
    Set("app||binary", bytes(range(256))),
    Set("app||empty", b""),
    Set("app||cat||tom||mood", b'"good"'),
)


def piped(desk: Desk, lines: bytes, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": os.environ["PATH"], "XDG_DATA_HOME": str(desk.folder)}
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, input=lines, capture_output=True, env=environment, cwd=desk.folder, check=False)


async def test_through_a_file_everything_arrives_byte_for_byte(desk: Desk, route: Route) -> None:
    source, target = route
    await source.save(*EVERYTHING, Set("app||hour", b"1", ttl=3600), Set("another||k", b"1"))
    exported = desk.run("export", "--from", source.file, "--output", "state.jsonl")
    assert (exported.code, exported.out[0][:20]) == (0, "506 keys: 506 copied")
    imported = desk.run("import", "--to", target.file, "state.jsonl")
    assert (imported.code, imported.out[1][:18]) == (0, "verified: 506 keys")
    expected = {write.key: write.value for write in EVERYTHING} | {"app||hour": b"1"}
    assert await target.values() == expected
    before, after = (await source.found())["app||hour"].expires_at, (await target.found())["app||hour"].expires_at
    assert before is not None
    assert after is not None
    assert abs(before - after) < 60


async def test_state_moves_through_a_pipe_too(desk: Desk, route: Route) -> None:
    source, target = route
    await source.save(*EVERYTHING)
    exported = piped(desk, b"", "export", "--from", source.file)
    assert exported.returncode == 0, exported.stderr
    assert b"505 keys: 505 copied" in exported.stderr
    imported = piped(desk, exported.stdout, "import", "--to", target.file)
    assert imported.returncode == 0, imported.stderr
    assert await target.values() == {write.key: write.value for write in EVERYTHING}


async def test_each_line_has_the_apps_own_key(desk: Desk, sqlite_place: Place) -> None:
    shared = sqlite_place.under(desk.folder / "shared.yaml", keyPrefix="shared")
    await shared.save(Set("shared||weapon", b'{"name": "DeathStar"}'), Set("me||cat||tom||mood", b"good"))
    exported = desk.run("export", "--from", shared.file, "--app-id", "me")
    assert exported.out == [
        '{"key":"weapon","value":{"name": "DeathStar"}}',
        '{"actorType":"cat","actorId":"tom","key":"mood","base64":"Z29vZA=="}',
    ]


async def test_broken_lines_are_named_and_the_others_saved(desk: Desk, redis_place: Place) -> None:
    (desk.folder / "state.jsonl").write_text(
        '{"key": "a", "value": 1}\n'
        "nonsense\n"
        "\n"
        '{"key": "b", "value": 2}\n'
        '{"key": "a", "value": 3}\n'
        '{"key": "c||d", "value": 4}\n'
        '{"key": "old", "value": 5, "ttlExpireTime": "2020-01-01T00:00:00Z"}\n'
        '{"key": "e", "val'
    )
    imported = desk.run("import", "--to", redis_place.file, "state.jsonl")
    assert imported.code == 1
    assert imported.out == [
        "7 keys: 2 copied, 1 expired meanwhile, 4 unreadable; 2 bytes written",
        "verified: 2 keys, 2 bytes the same on both sides",
    ]
    unreadable = [line for line in imported.err if line.startswith("unreadable")]
    assert [line.split(": ")[1] for line in unreadable] == ["line 2", "line 5", "line 6", "line 8"]
    assert "line 5: key 'a' stands in line 1 already" in unreadable[1]
    assert await redis_place.values() == {"app||a": b"1", "app||b": b"2"}


async def test_importing_twice_changes_nothing_and_newer_data_stays(desk: Desk, route: Route) -> None:
    _, target = route
    (desk.folder / "state.jsonl").write_text('{"key": "a", "value": 1}\n{"key": "b", "value": 1}\n')
    assert desk.run("import", "--to", target.file, "state.jsonl").code == 0
    await target.save(Set("app||b", b"newer"))
    again = desk.run("import", "--to", target.file, "state.jsonl")
    assert (again.code, again.out[0]) == (1, "2 keys: 1 the same already, 1 left as they are")
    (desk.folder / "state.jsonl").write_text('{"key": "a", "value": 2}\n')
    corrected = desk.run("import", "--to", target.file, "state.jsonl")
    assert (corrected.code, corrected.out[0]) == (
        0,
        "1 key: 1 updated, as an earlier run had written them; 1 byte written",
    )
    assert await target.values() == {"app||a": b"2", "app||b": b"newer"}


async def test_a_file_gets_its_name_when_it_is_complete_and_replaces_no_other(desk: Desk, sqlite_place: Place) -> None:
    await sqlite_place.save(*numbered(3))
    there = desk.folder / "state.jsonl"
    there.write_text("mine")
    refused = desk.run("export", "--from", sqlite_place.file, "--output", there)
    assert refused.code == 1
    assert refused.err[-1] == f"pannier: {there} exists; name another file with --output, or add --overwrite"
    assert there.read_text() == "mine"
    assert desk.run("export", "--from", sqlite_place.file, "--output", there, "--overwrite").code == 0
    assert len(there.read_text().splitlines()) == 3
    assert there.stat().st_mode & 0o077 == 0
    assert not list(desk.folder.glob(".state.jsonl.*"))


KINDS = {
    "folder": "is a folder; name a file in it with --output",
    "pipe": "is a pipe, not a file; leave --output out and write > {}",
    "socket": "is a socket; name a file with --output",
    "device": "is a device, not a file; leave --output out and write > {}",
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_file_is_replaced_by_a_file(desk: Desk, sqlite_place: Place, kind: str) -> None:
    there = desk.folder / kind
    with socket.socket(socket.AF_UNIX) as listening:
        if kind == "folder":
            there.mkdir()
        elif kind == "pipe":
            os.mkfifo(there)
        elif kind == "socket":
            listening.bind(str(there))
        else:
            there.symlink_to("/dev/null")
        before = there.stat()
        for flags in ([], ["--overwrite"]):
            done = desk.run("export", "--from", sqlite_place.file, "--output", there, *flags)
            assert (done.code, done.err) == (1, [f"pannier: {there} {KINDS[kind].format(there)}"])
        assert there.is_symlink() == (kind == "device")
        assert (there.stat().st_mode, there.stat().st_ino) == (before.st_mode, before.st_ino)


async def test_a_link_stays_and_what_it_leads_to_is_replaced(desk: Desk, sqlite_place: Place) -> None:
    await sqlite_place.save(*numbered(3))
    (desk.folder / "disk").mkdir()
    link, there = desk.folder / "link.jsonl", desk.folder / "disk" / "state.jsonl"
    link.symlink_to("disk/state.jsonl")
    export = ("export", "--from", sqlite_place.file, "--output", link)
    assert desk.run(*export).code == 0, "it led nowhere"
    assert desk.run(*export).code == 1
    there.write_text("")
    assert desk.run(*export, "--overwrite").code == 0
    assert link.is_symlink() and not there.is_symlink()
    assert len(there.read_text().splitlines()) == 3


async def test_a_full_disk_is_reported_and_leaves_no_partial_file(desk: Desk, sqlite_place: Place) -> None:
    if not Path("/dev/full").exists():
        pytest.fail("this machine has no /dev/full")
    await sqlite_place.save(*numbered(3))
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "export", "--from", str(sqlite_place.file)],
            stdout=full,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"]},
            check=False,
        )
    assert done.returncode == 1
    assert b"no space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


async def test_a_reader_that_goes_away_is_no_crash(desk: Desk, sqlite_place: Place) -> None:
    await sqlite_place.save(*numbered(5000))
    command = " ".join([*COMMAND, "export", "--from", str(sqlite_place.file), "| head -1"])
    done = subprocess.run(["sh", "-c", command], capture_output=True, cwd=desk.folder, check=True)
    assert json.loads(done.stdout)["key"]
    assert b"Traceback" not in done.stderr
