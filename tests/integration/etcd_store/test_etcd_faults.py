"""etcd refuses, dies, hangs: every message says what to change, no answered write is lost, no call hangs."""

import asyncio
from time import monotonic

import pytest
from servers.etcd_server import EtcdServer, encrypted, in_base64, running
from servers.eventually import eventually
from servers.load import Load
from servers.processes import free_port
from servers.redis_server import make_certificates

from pannier_sidecar.network import answers
from pannier_sidecar.state.errors import KeyRefusedError, OutcomeUnknownError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set


async def test_killed_and_restarted_under_load_it_has_every_answered_write(server: EtcdServer, open_store) -> None:
    store = await open_store()
    async with Load(store) as load:
        await load.outlives(server)
    await load.check(store)


async def test_while_it_is_down_calls_fail_at_once_and_name_its_address(server: EtcdServer, open_store) -> None:
    store = await open_store()
    server.stop()
    started = monotonic()
    try:
        calls = (store.get(Get("k")), store.set(Set("k", b"")), store.transact([Set("k", b""), Delete("l", "1")]))
        for fault in await asyncio.gather(*calls, store.ping(), store.keys("", 10, None), return_exceptions=True):
            assert isinstance(fault, StoreUnavailableError)
            assert f"etcd at {server.address} can't be reached" in str(fault)
        for faults in (
            await store.bulk_get([Get("k"), Get("l")]),
            await store.bulk_write([Set("k", b""), Delete("k")]),
        ):
            assert [isinstance(fault, StoreUnavailableError) for fault in faults] == [True, True]
        assert monotonic() - started < 20
    finally:
        await asyncio.to_thread(server.start)
    await eventually(lambda: store.set(Set("k", b"1")))


async def test_a_stopped_server_fails_calls_in_time_and_serves_again_when_continued(
    server: EtcdServer, open_store
) -> None:
    store = await eventually(lambda: open_store(timeout=1.0))
    await eventually(lambda: store.set(Set("k", b"1")))
    server.pause()
    with pytest.raises(StoreUnavailableError):
        while True:
            await store.get(Get("k"))  # until it has really stopped
    started = monotonic()
    calls = (store.get(Get("k")), store.set(Set("k", b"2")), store.set(Set("k", b"2", if_absent=True)))
    faults: list[object] = await asyncio.gather(*calls, return_exceptions=True)
    read, *writes = faults
    assert monotonic() - started < 10
    assert type(read) is StoreUnavailableError
    assert "did not answer within 1 s" in str(read)
    for fault in writes:
        assert type(fault) is OutcomeUnknownError
        assert "read the key before writing again" in str(fault)
    server.resume()
    await eventually(lambda: store.set(Set("k", b"3")))


async def test_when_one_endpoint_is_gone_the_next_is_asked(server: EtcdServer, open_store) -> None:
    gone = f"127.0.0.1:{free_port()}"
    for endpoints in (f"{gone}, http://{server.address}", f"{server.address},{gone}"):
        store = await open_store(endpoints=endpoints)
        for _ in range(3):
            await store.set(Set("k", b"1"))
            await store.delete(Delete("k"))
            await store.set(Set("k", b"1", if_absent=True))
    with pytest.raises(StoreUnavailableError, match="can't be reached"):
        await open_store(endpoints=gone)


async def test_when_one_endpoint_hangs_the_next_is_asked(server: EtcdServer, open_store, tmp_path) -> None:
    with running(tmp_path) as hanging:
        hanging.pause()
        store = await open_store(endpoints=f"{hanging.address},{server.address}", timeout=2.0)
        await store.set(Set("k", b"1", if_absent=True))
        assert await store.get(Get("k")) is not None
        await store.close()


async def test_a_server_whose_data_is_gone_is_still_served(tmp_path, open_store) -> None:
    with running(tmp_path) as server:
        store = await open_store(endpoints=server.address)
        await store.set(Set("k", b"1", ttl=1000))
        server.stop()
        (tmp_path / "data").rename(tmp_path / "lost")
        await asyncio.to_thread(server.start)
        await eventually(lambda: store.set(Set("k", b"2", ttl=1000)))  # its lease was lost too
        await store.transact([Set("l", b"2", ttl=1000), Set("m", b"3", if_absent=True)])
        await store.close()


async def test_items_that_are_too_large_are_refused_and_the_others_written(open_store) -> None:
    store = await open_store()
    faults = await store.bulk_write(
        [Set("a", b"1"), Set("b", bytes(1_600_000)), Set("c", bytes(3_000_000)), Set("d", b"1")]
    )
    assert [type(fault) for fault in faults] == [type(None), StoreRefusedError, StoreRefusedError, type(None)]
    assert all("too large; raise --max-request-bytes" in str(fault) for fault in faults[1:3])


async def test_a_server_that_takes_fewer_operations_says_so(tmp_path, open_store) -> None:
    with running(tmp_path, "--max-txn-ops=10") as server:
        store = await open_store(endpoints=server.address)
        writes = [Set(f"k{number}", b"1") for number in range(11)]
        with pytest.raises(StoreRefusedError, match="lower maxTxnOps, or raise --max-txn-ops there"):
            await store.transact(writes)
        smaller = await open_store(endpoints=server.address, maxTxnOps=10)
        assert smaller.max_transaction == 10
        await smaller.transact(writes[:10])
        found = [getattr(each, "etag", "") for each in await smaller.bulk_get([Get(write.key) for write in writes])]
        guarded = [Set(write.key, b"2", etag) for write, etag in zip(writes[:10], found, strict=False)]
        await smaller.transact(guarded)  # its conditions alone reach the limit
        await store.close()
        await smaller.close()


async def test_surrogates_are_refused_in_keys(open_store) -> None:
    store = await open_store()
    with pytest.raises(KeyRefusedError, match="surrogate"):
        await store.set(Set("\ud800", b"1"))
    bad, absent = await store.bulk_get([Get("\ud800"), Get("k")])
    assert isinstance(bad, KeyRefusedError)
    assert absent is None


async def test_users_sign_in_and_stay_signed_in(tmp_path, open_store) -> None:
    with running(tmp_path, "--auth-token-ttl=2") as server:
        for name in ("root", "shop"):
            server.call("auth/user/add", {"name": name, "password": "right"})
            server.call("auth/role/add", {"name": name})
            server.call("auth/user/grant", {"user": name, "role": name})
        permission = {"permType": "READWRITE", "key": in_base64(b"shop/"), "range_end": in_base64(b"shop0")}
        server.call("auth/role/grant", {"name": "shop", "perm": permission})
        server.call("auth/enable", {})
        there = {"endpoints": server.address, "keyPrefixPath": "shop"}
        with pytest.raises(StoreRefusedError, match="refuses the user; write the right username and password"):
            await open_store(**there, username="shop", password="wrong")
        with pytest.raises(StoreRefusedError, match="add username and password"):
            await open_store(**there)
        store = await open_store(**there, username="shop", password="right")
        await store.set(Set("k", b"1", ttl=1000))
        await asyncio.sleep(4)  # longer than a token lives
        await store.set(Set("k", b"2"))
        elsewhere = {"endpoints": server.address, "username": "shop", "password": "right"}
        with pytest.raises(StoreRefusedError, match="grant its role read and write on the keys of keyPrefixPath"):
            await open_store(**elsewhere, keyPrefixPath="other")
        await store.close()


async def test_it_speaks_tls_with_a_client_certificate(tmp_path, open_store) -> None:
    certificates = make_certificates(tmp_path / "certificates")
    others = make_certificates(tmp_path / "others")
    flags = [f"--cert-file={certificates.path('server.crt')}", f"--key-file={certificates.path('server.key')}"]
    flags += [f"--trusted-ca-file={certificates.path('ca.crt')}", "--client-cert-auth"]
    with encrypted(tmp_path / "server", *flags) as server:
        there = {"endpoints": server.address, "tlsEnable": True, "timeout": 10.0}
        signed = {"cert": certificates.text("client.crt"), "key": certificates.path("client.key")}
        store = await eventually(lambda: open_store(**there, **signed, ca=certificates.text("ca.crt")))
        await store.set(Set("k", b"1"))
        with pytest.raises(StoreUnavailableError):
            await open_store(**there, **signed, ca=others.text("ca.crt"))
        with pytest.raises(StoreRefusedError, match="a client certificate needs both cert and key"):
            await open_store(**there, cert=signed["cert"])
        with pytest.raises(StoreRefusedError, match="ca is neither PEM nor a file"):
            await open_store(**there, ca="/nowhere")
        await store.close()


async def test_values_that_are_too_large_for_one_answer_are_read_in_parts(open_store) -> None:
    store = await open_store()
    value = bytes(1_400_000)
    keys = [f"large{number}" for number in range(answers.limit() // len(value) + 2)]
    for key in keys:
        await store.set(Set(key, value))
    absent, *found = await store.bulk_get([Get("absent"), *map(Get, keys)])
    assert absent is None
    assert [getattr(each, "value", each) == value for each in found] == [True] * len(keys)
