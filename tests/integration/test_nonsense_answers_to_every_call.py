"""HTTP answers that the database never gives: the outcome of a write is unknown, and a read is unavailable."""

from pathlib import Path

import pytest
from servers.databases import named
from servers.eventually import eventually
from servers.hostile_proxy import HostileProxy
from servers.opened_store import opening
from servers.proxy_setups import PROXY_SETUPS
from servers.server_faults import http_says

from pannier_sidecar.state.errors import OutcomeUnknownError, StoreUnavailableError
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import Feature

BODIES = (b"<html>log in</html>", b"[]", b"[1]", b"7", b"null", b'"\xff\xfe"', b"[" * 100_000, b'{"a":' * 100_000)
TOGETHER = {"partitionKey": "together"}


@pytest.mark.parametrize("name", ["dynamodb", "cosmosdb", "consul"])
async def test_nonsense_is_refused_as_an_answer_to_every_call(name: str, tmp_path: Path) -> None:
    subject, setup = named(name), PROXY_SETUPS[name]
    with (
        subject.serve(tmp_path) as server,
        HostileProxy(setup.port(server.settings), announces_its_port=setup.announces_its_port) as proxy,
    ):
        settings = {**server.settings, **setup.names(proxy.port), "timeout": 10.0}
        async with opening(subject.store_type, settings, 10) as open_store:
            store = await open_store()
            for body in BODIES:
                proxy.turn(http_says(body))
                writes = [Set("k", b"1", metadata=TOGETHER), Set("l", b"1", metadata=TOGETHER)]
                errors = {
                    "set": await error_of(store.set(Set("k", b"1"))),
                    "transact": await error_of(store.transact(writes)),
                    "bulk set": (await store.bulk_write([Set("k", b"1")]))[0],
                    "bulk delete": (await store.bulk_write([Delete("k")]))[0],
                }
                assert {what: type(error) for what, error in errors.items()} == dict.fromkeys(
                    errors, OutcomeUnknownError
                )
                errors = {
                    "get": await error_of(store.get(Get("k"))),
                    "ping": await error_of(store.ping()),
                    "bulk get": await error_of(first_of(store, "k")),
                }
                if Feature.KEYS_LIKE in subject.claims:
                    errors["keys"] = await error_of(store.keys("", 10, None))
                for what, error in errors.items():
                    assert isinstance(error, StoreUnavailableError), f"{what} of {body[:9]!r}"
                proxy.come_back()
                await eventually(store.ping)


async def first_of(store, key: str) -> None:
    (found,) = await store.bulk_get([Get(key)])
    if isinstance(found, Exception):
        raise found


async def error_of(call) -> BaseException | None:
    try:
        await call
    except Exception as error:
        return error
    return None
