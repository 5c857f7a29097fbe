"""`pannier copy` between real databases, in either direction."""

from __future__ import annotations

import json
from time import time

from servers.places import Desk, Place, numbered

from pannier_sidecar.moving.deciding import EXPIRY_TOLERANCE
from pannier_sidecar.state.requests import Set
from pannier_sidecar.state.store import StoredValue

Route = tuple[Place, Place]


async def test_everything_of_the_app_arrives_byte_for_byte(desk: Desk, route: Route) -> None:
    source, target = route
    ours = [
        *numbered(1500),
        Set("app||binary", bytes(range(256))),
        Set("app||empty", b""),
        Set("app||text", "Grüße\n".encode()),
        Set("app||large", b"x" * 3_000_000),
        Set("app||né || ".replace(" || ", ": ") + "\t#", b"1"),
        Set("app||cat||tom||mood", b'"good"'),
    ]
    await source.save(*ours, Set("another||k", b"1"), Set("application||k", b"1"))
    done = desk.copy(source.file, target.file)
    assert done.code == 0, done.err
    assert await target.values() == {write.key: write.value for write in ours}
    size = sum(len(write.value) for write in ours)
    assert done.out == [
        f"1506 keys: 1506 copied; {size} bytes written",
        f"verified: 1506 keys, {size} bytes the same on both sides",
    ]


async def test_a_second_run_changes_nothing(desk: Desk, route: Route) -> None:
    source, target = route
    await source.save(*numbered(300), Set("app||short", b"1", ttl=1000))
    assert desk.copy(source.file, target.file).code == 0
    before = await target.found()
    done = desk.copy(source.file, target.file)
    assert (done.code, done.out[0]) == (0, "301 keys: 301 the same already")
    assert {key: found.etag for key, found in (await target.found()).items()} == {
        key: found.etag for key, found in before.items()
    }


async def test_times_to_live_go_on_where_they_were(desk: Desk, route: Route) -> None:
    source, target = route
    await source.save(Set("app||hour", b"1", ttl=3600), Set("app||ever", b"1"))
    expected = time() + 3600
    assert desk.copy(source.file, target.file).code == 0
    found = await target.found()
    assert found["app||ever"].expires_at is None
    ends = found["app||hour"].expires_at
    assert ends is not None
    assert abs(ends - expected) < 60


async def test_a_default_time_to_live_of_the_target_is_not_applied(desk: Desk, route: Route) -> None:
    source, target = route
    await source.save(Set("app||ever", b"1"))
    assert desk.copy(source.file, target.under(desk.folder / "short.yaml", ttlInSeconds="5").file).code == 0
    assert (await target.found())["app||ever"].expires_at is None


async def test_prefixes_may_differ(desk: Desk, route: Route) -> None:
    source, target = route
    shared = source.under(desk.folder / "shared.yaml", keyPrefix="Shared")
    plain = target.under(desk.folder / "plain.yaml", keyPrefix="none")
    await source.save(Set("shared||k", b"1"), Set("me||cat||tom||mood", b"2"), Set("me||k", b"3"), Set("k", b"4"))
    done = desk.copy(shared.file, plain.file, "--app-id", "me")
    assert done.code == 0, done.err
    assert await target.values() == {"k": b"1", "me||cat||tom||mood": b"2"}
    assert "skipped: 1 key of the source that this app does not own" in done.out


async def test_one_place_takes_another_prefix(desk: Desk, route: Route) -> None:
    source, _ = route
    await source.save(*numbered(250))
    done = desk.copy(source.file, source.under(desk.folder / "named.yaml", keyPrefix="name").file)
    assert done.code == 0, done.err
    stored = await source.values()
    assert len(stored) == 500
    assert all(stored[f"named||key {n}"] == stored[f"app||key {n}"] for n in range(250))


async def test_newer_data_is_kept_and_reported(desk: Desk, route: Route) -> None:
    source, target = route
    await source.save(*numbered(3))
    await target.save(Set("app||key 1", b"newer"))
    done = desk.copy(source.file, target.file)
    assert done.code == 1
    assert "left as it is: key 'key 1': the target has another value, of 5 bytes" in done.err
    assert done.out[0] == "3 keys: 2 copied, 1 left as they are; 26 bytes written"
    assert done.out[1] == "verified: 2 keys, 26 bytes the same on both sides"
    assert (await target.values())["app||key 1"] == b"newer"


async def test_overwriting_is_reported(desk: Desk, route: Route) -> None:
    source, target = route
    await source.save(*numbered(3))
    await target.save(Set("app||key 1", b"newer"))
    done = desk.copy(source.file, target.file, "--overwrite")
    assert (done.code, done.out[0]) == (0, "3 keys: 2 copied, 1 overwritten; 39 bytes written")
    assert await target.values() == await source.values()


async def test_changes_of_the_source_follow_unless_the_target_changed_too(desk: Desk, route: Route) -> None:
    source, target = route
    await source.save(*numbered(3))
    assert desk.copy(source.file, target.file).code == 0
    await source.save(Set("app||key 0", b"later"), Set("app||key 1", b"later"), Set("app||key 3", b"later"))
    await target.save(Set("app||key 1", b"newer"))
    done = desk.copy(source.file, target.file)
    assert done.code == 1
    assert done.out[0] == (
        "4 keys: 1 copied, 1 updated, as an earlier run had written them, 1 the same already, 1 left as they are; "
        "10 bytes written"
    )
    values = await target.values()
    assert [values[f"app||key {n}"] for n in range(4)] == [b"later", b"newer", b'{"number": 2}', b"later"]


async def test_without_the_journal_nothing_is_taken_for_earlier_work(desk: Desk, route: Route) -> None:
    source, target = route
    await source.save(Set("app||k", b"1"))
    assert desk.copy(source.file, target.file, "--journal", "one.db").code == 0
    await source.save(Set("app||k", b"2"))
    assert desk.copy(source.file, target.file, "--journal", "two.db").code == 1
    assert desk.copy(source.file, target.file, "--journal", "one.db").code == 0
    assert await target.values() == {"app||k": b"2"}


async def test_a_value_with_another_expiry_is_another_value(desk: Desk, route: Route) -> None:
    source, target = route
    await source.save(Set("app||k", b"1", ttl=1000))
    await target.save(Set("app||k", b"1"))
    done = desk.copy(source.file, target.file)
    assert (done.code, "the target has the same value, which expires at another time" in done.err[1]) == (1, True)
    assert desk.copy(source.file, target.file, "--overwrite").code == 0
    ends = (await target.found())["app||k"].expires_at
    assert ends is not None
    assert abs(ends - expiry(await source.found())) <= EXPIRY_TOLERANCE


def expiry(found: dict[str, StoredValue]) -> int:
    ends = found["app||k"].expires_at
    assert ends is not None
    return ends


async def test_dashes_go_to_dashes_and_to_pipes(desk: Desk, route: Route) -> None:
    source, target = route
    dashes = source.under(desk.folder / "dashes.yaml", keyScheme="dash")
    await source.save(Set("app-k", b"1"), Set("app-cat-tom-mood", b"2"))
    assert desk.copy(dashes.file, target.file).code == 0
    assert await target.values() == {"app||k": b"1", "app||cat-tom-mood": b"2"}


async def test_an_app_that_keyscheme_dash_refuses_can_copy_its_state_to_pipes(desk: Desk, route: Route) -> None:
    source, target = route
    dashes = source.under(desk.folder / "dashes.yaml", keyScheme="dash")
    await source.save(Set("shop-eu-k", b"1"), Set("shop-eu-a-b-c", b"2"))
    assert desk.run("copy", "--from", dashes.file, "--to", target.file, "--app-id", "shop-eu").code == 0
    assert await target.values() == {"shop-eu||k": b"1", "shop-eu||a-b-c": b"2"}


async def test_secrets_are_resolved_as_in_serve(desk: Desk, route: Route) -> None:
    source, target = route
    await source.save(Set("app||k", b"1"))
    component = target.component("hidden")
    entry = component["spec"]["metadata"][0]
    (desk.folder / "secrets.json").write_text(json.dumps({"where": entry.pop("value")}))
    entry["secretKeyRef"] = {"name": "where", "key": "where"}
    component["auth"] = {"secretStore": "vault"}
    vault = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "vault"},
        "spec": {
            "type": "secretstores.local.file",
            "version": "v1",
            "metadata": [{"name": "secretsFile", "value": "secrets.json"}],
        },
    }
    both = desk.folder / "both.yaml"
    both.write_text("\n---\n".join(json.dumps(document) for document in (vault, component, source.component("old"))))
    done = desk.copy(f"{both}#old", f"{both}#hidden")
    assert done.code == 0, done.err
    assert await target.values() == {"app||k": b"1"}
