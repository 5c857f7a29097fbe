"""Azure refuses, hangs, dies, loses answers: messages say what to change, and no write is sent twice."""

import asyncio
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import digest
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import pytest
from servers.azurite import ACCOUNT, KEY
from servers.blobstorage_server import CONTAINER, BlobServer
from servers.cutting_proxy import CuttingProxy
from servers.eventually import eventually
from servers.opened_store import nothing_left, opened, refusal_of
from servers.processes import free_port

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.blobstorage.store import BlobStore


def sas(permissions: str, seconds: int = 3600) -> str:
    """Return a SAS for the container, signed as Azure's documentation says (service SAS, version 2020-12-06)."""
    end = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = (permissions, "", end, f"/blob/{ACCOUNT}/{CONTAINER}", "", "", "", "2020-12-06", "c", "", "", *[""] * 5)
    signed = digest(b64decode(KEY), "\n".join(fields).encode(), sha256)
    given = {"sv": "2020-12-06", "se": end, "sr": "c", "sp": permissions, "sig": b64encode(signed).decode()}
    return urlencode(given)


def with_sas(server: BlobServer, token: str) -> dict[str, Any]:
    text = f"BlobEndpoint={server.url};SharedAccessSignature={token}"
    return {"connectionString": text, "containerName": CONTAINER, "timeout": 30.0}


async def test_a_sas_is_enough_and_one_without_rights_is_refused(server: BlobServer, open_store) -> None:
    await open_store()
    async with opened(BlobStore(with_sas(server, sas("rwdl")))) as store:
        await store.set(Set("app||k", b"1"))
        found = await store.get(Get("app||k"))
        await store.set(Set("app||k", b"2", found.etag))
        assert (await store.keys("app||", 10, None)).keys == ["app||k"]
        await store.delete(Delete("app||k"))
    for token in (sas("r"), sas("rw"), sas("rwdl", -60), sas("rwdl").replace("sp=rwdl", "sp=rwdlx")):
        error = await refusal_of(BlobStore, with_sas(server, token))
        assert type(error) is StoreRefusedError
        assert "may not be used (403); check accountKey or connectionString" in str(error)
        assert token.partition("sig=")[2] not in str(error)


async def test_a_wrong_key_and_a_missing_container_are_told(server: BlobServer) -> None:
    async with nothing_left():
        wrong = await refusal_of(BlobStore, {**server.settings, "accountKey": "bGV0bWVpbg=="})
        assert "may not be used (403)" in str(wrong)
        absent = await refusal_of(BlobStore, {**server.settings, "disableEntityManagement": True})
    assert type(absent) is StoreRefusedError
    assert str(absent).endswith("is not there (404); create it, or leave disableEntityManagement out")
    async with (
        opened(BlobStore(server.settings)),
        opened(BlobStore({**server.settings, "disableEntityManagement": True})),
    ):
        pass


async def test_killed_and_restarted_it_has_every_answered_write(server: BlobServer, open_store) -> None:
    store = await open_store()
    assert not any(await store.bulk_write([Set(f"app||{number}", b"1") for number in range(50)]))
    server.stop()
    calls = (store.get(Get("app||0")), store.set(Set("app||0", b"2")), store.delete(Delete("app||0")), store.ping())
    for fault in await asyncio.gather(*calls, store.keys("app||", 10, None), return_exceptions=True):
        assert type(fault) is StoreUnavailableError
        assert server.address in str(fault)
    await asyncio.to_thread(server.start)
    await eventually(store.ping)
    found = await store.bulk_get([Get(f"app||{number}") for number in range(50)])
    assert all(getattr(entry, "value", None) == b"1" for entry in found)


async def test_a_silent_server_fails_calls_in_time(server: BlobServer, open_store) -> None:
    store = await open_store(timeout=1.0)
    await eventually(lambda: store.set(Set("app||k", b"1")))
    server.pause()
    started = monotonic()
    calls = (store.get(Get("app||k")), store.set(Set("app||k", b"2")), store.delete(Delete("app||l")))
    faults = await asyncio.gather(*calls, return_exceptions=True)
    server.resume()
    assert [type(fault) for fault in faults] == [StoreUnavailableError, OutcomeUnknownError, OutcomeUnknownError]
    assert monotonic() - started < 15


async def test_no_write_is_sent_again_when_its_answer_is_lost(server: BlobServer) -> None:
    direct = BlobStore({**server.settings, "timeout": 30.0})
    async with CuttingProxy(server.port) as proxy:
        store = BlobStore({**server.settings, "endpoint": f"http://127.0.0.1:{proxy.port}", "timeout": 30.0})
        try:
            await direct.open()
            await store.open()
            for value in (b"value-2", b"value-3"):
                proxy.arm("after", value)
                writing = asyncio.ensure_future(store.set(Set("app||k", value)))
                await proxy.met()
                await asyncio.sleep(0.05)
                proxy.cut()
                with pytest.raises(OutcomeUnknownError, match="read the key before writing again"):
                    await writing
                before = await direct.get(Get("app||k"))
                await asyncio.sleep(0.1)
                assert await direct.get(Get("app||k")) == before
        finally:
            await store.close()
            await direct.close()


async def test_where_nothing_listens_the_fields_to_check_are_named() -> None:
    settings = {"accountName": ACCOUNT, "accountKey": KEY, "containerName": CONTAINER}
    async with nothing_left():
        error = await refusal_of(BlobStore, {**settings, "endpoint": f"http://127.0.0.1:{free_port()}"})
    assert type(error) is StoreUnavailableError
    assert "the connection is refused; check accountName, endpoint and connectionString" in str(error)
