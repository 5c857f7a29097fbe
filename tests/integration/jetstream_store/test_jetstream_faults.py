"""NATS refuses, dies, hangs, loses answers: messages say what to change, no answered write is lost, no call hangs."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import pytest
from servers.cutting_proxy import CuttingProxy
from servers.eventually import eventually
from servers.hostile_proxy import HostileProxy
from servers.jetstream_server import BUCKET, JetStreamServer, running, with_bucket
from servers.load import Load
from servers.nats_faults import answers
from servers.opened_store import nothing_left, opened, refusal_of
from servers.processes import free_port

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.jetstream import store as store_of_jetstream
from pannier_sidecar.stores.jetstream.store import JetStreamStore

pytestmark = pytest.mark.over("jetstream")

USERS = """
authorization {{ users = [
  {{user: all, password: "p@ss,"}}
  {{user: some, password: some, permissions: {{publish: [{publish}], subscribe: [{subscribe}]}}}}
] }}
"""
LEAST = (f"$KV.{BUCKET}.>", f"$JS.API.STREAM.INFO.KV_{BUCKET}", f"$JS.API.STREAM.MSG.GET.KV_{BUCKET}")


async def test_killed_and_restarted_under_load_it_has_every_answered_write(server: JetStreamServer, open_store) -> None:
    store = await open_store(timeout=5.0)
    async with Load(store) as load:
        await load.outlives(server)
    await load.check(store)


async def test_while_it_is_down_calls_fail_at_once_and_name_its_address(server: JetStreamServer, open_store) -> None:
    store = await open_store()
    server.stop()
    started = monotonic()
    try:
        with pytest.raises(StoreUnavailableError):
            await store.ping()  # from now on the store knows that the connection has ended
        calls = (store.get(Get("a||k")), store.set(Set("a||k", b"")), store.delete(Delete("a||k", if_match="1")))
        for fault in await asyncio.gather(*calls, store.ping(), store.keys("", 10, None), return_exceptions=True):
            assert type(fault) is StoreUnavailableError
            assert f"NATS at {server.address} cannot be reached: the connection is refused" in str(fault)
        for faults in (await store.bulk_get([Get("k")]), await store.bulk_write([Set("k", b""), Delete("k")])):
            assert all(isinstance(fault, StoreUnavailableError) for fault in faults)
        assert monotonic() - started < 20
    finally:
        await asyncio.to_thread(server.start)
    await eventually(lambda: store.set(Set("a||k", b"1")))


async def test_what_waited_for_a_silent_server_never_reaches_it(server: JetStreamServer, open_store) -> None:
    """The write that timed out was in the server's socket; later ones were never sent."""
    store = await open_store(timeout=1.0)
    await eventually(lambda: store.set(Set("a||k", b"1")))
    server.pause()
    started = monotonic()
    calls = (store.get(Get("a||k")), store.set(Set("a||k", b"2")), store.delete(Delete("a||l")))
    faults: list[object] = await asyncio.gather(*calls, return_exceptions=True)
    read, *writes = faults
    assert type(read) is StoreUnavailableError
    assert "did not answer within 1 s" in str(read)
    assert [type(fault) for fault in writes] == [OutcomeUnknownError] * 2
    with pytest.raises(StoreUnavailableError):
        await store.set(Set("a||never", b"1"))
    assert monotonic() - started < 15
    server.resume()
    await eventually(lambda: store.set(Set("a||k", b"3")))
    assert server.message("a.never") is None


async def test_no_write_is_sent_again_when_its_answer_is_lost(server: JetStreamServer) -> None:
    async with losing(server) as (proxy, store):
        await store.set(Set("a||k", b"1"))
        for value in (b"2", b"3"):
            writing = asyncio.ensure_future(store.set(Set("a||k", value)))
            proxy.arm("after", value)
            await proxy.met()
            await asyncio.sleep(0.05)
            proxy.cut()
            with pytest.raises(OutcomeUnknownError, match="read the key before writing again"):
                await writing
            found = await store.get(Get("a||k"))
            assert found is not None
            assert server.stored("a||k") == found.value


@asynccontextmanager
async def losing(server: JetStreamServer) -> AsyncIterator[tuple[CuttingProxy, JetStreamStore]]:
    async with CuttingProxy(server.port) as proxy:
        url = f"nats://127.0.0.1:{proxy.port}"
        store = JetStreamStore({"natsURL": url, "bucket": BUCKET, "timeout": 30.0})
        await store.open()
        try:
            yield proxy, store
        finally:
            await store.close()


async def test_when_one_server_is_gone_the_next_is_asked(server: JetStreamServer, open_store) -> None:
    for servers in (f"nats://127.0.0.1:{free_port()},{server.url}", f"{server.url},127.0.0.1:{free_port()}"):
        store = await open_store(natsURL=servers)
        await store.set(Set("a||k", b"1"))


async def test_a_bucket_that_does_not_exist_is_refused_with_the_command_that_makes_it(server: JetStreamServer) -> None:
    async with nothing_left():
        error = await refusal_of(JetStreamStore, {"natsURL": server.url, "bucket": "other"})
    assert type(error) is StoreRefusedError
    assert str(error) == f"NATS at {server.address} has no bucket other; make it: nats kv add other"


async def test_a_server_without_jetstream_and_one_that_is_not_there_are_reported(tmp_path) -> None:
    async with nothing_left():
        gone = await refusal_of(JetStreamStore, {"natsURL": f"127.0.0.1:{free_port()}", "bucket": BUCKET})
        assert type(gone) is StoreUnavailableError
        assert "the connection is refused; check natsURL" in str(gone)


async def test_a_login_that_is_refused_and_rights_that_are_missing_are_told(tmp_path) -> None:
    name = iter(range(9))

    async def told(user: str, publish: tuple[str, ...] = LEAST, subscribe: str = "_INBOX.>") -> StoreError | None:
        configuration = USERS.format(publish=", ".join(f'"{each}"' for each in publish), subscribe=f'"{subscribe}"')
        login = {"user": "all", "pass": "p@ss,"}
        with running(tmp_path / str(next(name)), configuration, login) as server:
            server.make_bucket()
            settings = {"natsURL": f"nats://{user}@{server.address}", "bucket": BUCKET}
            try:
                async with opened(JetStreamStore(settings)) as store:
                    await store.set(Set("a||k", b"1", if_absent=True))
                    assert (await store.keys("a||", 10, None)).keys == ["a||k"]
                    await store.delete(Delete("a||k"))
            except StoreError as error:
                return error
            return None

    assert await told("all:p%40ss%2C") is None
    assert await told("some:some") is None, "these permissions are enough"
    for fault, words in {
        await told("all:wrong"): "it refuses the login; check the login in natsURL",
        await told("some:some", LEAST[1:]): f"may not publish to $KV.{BUCKET}.>",
        await told("some:some", (LEAST[0], LEAST[2])): f"may not publish to {LEAST[1]}",
        await told("some:some", LEAST[:2]): f"may not publish to {LEAST[2]}",
        await told("some:some", LEAST, "other"): "may not subscribe to _INBOX.>",
    }.items():
        assert type(fault) is StoreRefusedError
        assert words in str(fault)
        assert "wrong" not in str(fault)


async def test_tls_that_the_server_does_not_offer_is_refused_before_the_login_is_sent(server: JetStreamServer) -> None:
    async with nothing_left():
        settings = {"natsURL": f"tls://u:letmein@{server.address}", "bucket": BUCKET}
        error = await refusal_of(JetStreamStore, settings)
    assert type(error) is StoreRefusedError
    assert "does not offer TLS; write nats:// in natsURL, or enable TLS there" in str(error)


async def test_a_mirror_is_refused(tmp_path) -> None:
    with with_bucket(tmp_path) as server:
        server.ask("$JS.API.STREAM.CREATE.KV_copy", {"name": "KV_copy", "mirror": {"name": f"KV_{BUCKET}"}})
        async with nothing_left():
            error = await refusal_of(JetStreamStore, {"natsURL": server.url, "bucket": "copy"})
    assert "perhaps a mirror; name the bucket that it copies" in str(error)


async def test_names_that_never_end_are_not_read_for_ever(server: JetStreamServer, monkeypatch) -> None:
    monkeypatch.setattr(store_of_jetstream, "MAX_NAMES", 1000)
    subjects = {f"$KV.{BUCKET}.a.{number}": 1 for number in range(100)}
    page = json.dumps({"config": {}, "state": {"subjects": subjects}, "total": 10**15}).encode()
    settings: dict[str, Any] = {"bucket": BUCKET, "timeout": 30.0}
    with HostileProxy(server.port) as proxy:
        async with opened(JetStreamStore({**settings, "natsURL": f"nats://127.0.0.1:{proxy.port}"})) as store:
            proxy.turn(answers(page), b"subjects_filter")
            with pytest.raises(StoreRefusedError, match="has over 1000 keys"):
                await store.keys("a||", 10, None)
