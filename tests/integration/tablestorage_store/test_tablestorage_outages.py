"""Azure refuses, hangs, ends, loses answers: messages say what to change, and no write is sent twice."""

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
from servers.cutting_proxy import CuttingProxy
from servers.eventually import eventually
from servers.opened_store import nothing_left, opened, refusal_of
from servers.processes import free_port
from servers.tablestorage_server import TABLE, TableServer

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreRefusedError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.stores.tablestorage.store import TableStore


def sas(permissions: str, seconds: int = 3600) -> str:
    """Return a SAS for the table, signed as Azure's documentation says (service SAS, version 2018-11-09)."""
    end = (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = (permissions, "", end, f"/table/{ACCOUNT}/{TABLE}", "", "", "", "2018-11-09", *[""] * 4)
    signed = digest(b64decode(KEY), "\n".join(fields).encode(), sha256)
    given = {"sv": "2018-11-09", "se": end, "tn": TABLE, "sp": permissions, "sig": b64encode(signed).decode()}
    return urlencode(given)


def with_sas(server: TableServer, token: str) -> dict[str, Any]:
    text = f"TableEndpoint={server.url};SharedAccessSignature={token}"
    return {"connectionString": text, "tableName": TABLE, "timeout": 30.0}


async def test_a_sas_is_enough_and_one_without_rights_is_refused(server: TableServer, open_store) -> None:
    await open_store()
    async with opened(TableStore(with_sas(server, sas("raud")))) as store:
        await store.set(Set("app||k", b"1"))
        found = await store.get(Get("app||k"))
        await store.set(Set("app||k", b"2", found.etag))
        await store.set(Set("app||l", b"1", if_absent=True))
        assert (await store.keys("app||", 10, None)).keys == ["app||k", "app||l"]
        await store.delete(Delete("app||k"))
    for token in (sas("r"), sas("rud"), sas("rad"), sas("rau"), sas("aud"), sas("raud", -60)):
        error = await refusal_of(TableStore, with_sas(server, token))
        assert type(error) is StoreRefusedError
        assert "may not be used (403); check accountKey or connectionString" in str(error)
        assert token.partition("sig=")[2] not in str(error)


async def test_a_wrong_key_and_a_missing_table_are_told(server: TableServer) -> None:
    async with nothing_left():
        wrong = await refusal_of(TableStore, {**server.settings, "accountKey": "bGV0bWVpbg=="})
        assert "may not be used (403)" in str(wrong)
        absent = await refusal_of(TableStore, {**server.settings, "skipCreateTable": True})
    assert type(absent) is StoreRefusedError
    assert str(absent).endswith("is not there (404); create it, or leave skipCreateTable out")
    async with opened(TableStore(server.settings)), opened(TableStore({**server.settings, "skipCreateTable": True})):
        pass


async def test_stopped_and_restarted_it_has_every_answered_write(server: TableServer, open_store) -> None:
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


async def test_a_silent_server_fails_calls_in_time(server: TableServer, open_store) -> None:
    store = await open_store(timeout=1.0)
    await eventually(lambda: store.set(Set("app||k", b"1")))
    server.pause()
    started = monotonic()
    calls = (store.get(Get("app||k")), store.set(Set("app||k", b"2")), store.delete(Delete("app||l")))
    faults = await asyncio.gather(*calls, return_exceptions=True)
    server.resume()
    assert [type(fault) for fault in faults] == [StoreUnavailableError, OutcomeUnknownError, OutcomeUnknownError]
    assert monotonic() - started < 15


async def test_no_write_is_sent_again_when_its_answer_is_lost(server: TableServer) -> None:
    direct = TableStore({**server.settings, "timeout": 30.0})
    async with CuttingProxy(server.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}/{ACCOUNT}"
        store = TableStore({**server.settings, "serviceURL": url, "timeout": 30.0})
        try:
            await direct.open()
            await store.open()
            for value, if_absent in ((b"value-2", False), (b"value-3", False), (b"value-4", True)):
                proxy.arm("after", value)
                writing = asyncio.ensure_future(store.set(Set(f"app||{value!r}", value, if_absent=if_absent)))
                await proxy.met()
                await asyncio.sleep(0.05)
                proxy.cut()
                with pytest.raises(OutcomeUnknownError, match="read the key before writing again"):
                    await writing
                before = await direct.get(Get(f"app||{value!r}"))
                await asyncio.sleep(0.1)
                assert await direct.get(Get(f"app||{value!r}")) == before
        finally:
            await store.close()
            await direct.close()


async def test_where_nothing_listens_the_fields_to_check_are_named() -> None:
    settings = {"accountName": ACCOUNT, "accountKey": KEY, "tableName": TABLE}
    async with nothing_left():
        error = await refusal_of(TableStore, {**settings, "serviceURL": f"http://127.0.0.1:{free_port()}/{ACCOUNT}"})
    assert type(error) is StoreUnavailableError
    assert "the connection is refused; check accountName, serviceURL and connectionString" in str(error)
