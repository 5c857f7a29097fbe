"""Lists with keys that are so long that the cursor after them fits into no request."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from integration.http_front_end.failing_store import FailingStore, serving_stores
from integration.http_front_end.http_wire import Wire, get

from pannier_sidecar.state.requests import Set

KEYS = ["a", "b", "c" * 15_000, "d" * 50_000, "e", "f" * 9_000, "g", "h" * 13_000]


async def filled(*keys: str) -> FailingStore:
    store = FailingStore()
    await store.open()
    for key in keys:
        await store.set(Set(f"app||{key}", b"1"))
    return store


async def listed(wire: Wire, limit: int, cursor: str | None) -> tuple[int, dict[str, Any]]:
    place = f"&cursor={quote(cursor)}" if cursor else ""
    answer = await wire.ask(get(f"/v1.0-alpha1/state/s/keys?limit={limit}{place}"))
    return answer.status, json.loads(answer.body)


async def test_every_key_is_listed_once_page_by_page(subtests: pytest.Subtests) -> None:
    async with serving_stores(s=await filled(*KEYS)) as here:
        wire = await here.connect()
        for limit in (3, 4, 5, 100):
            with subtests.test(f"{limit} a page"):
                found: list[str] = []
                cursor = None
                while not found or cursor:
                    status, page = await listed(wire, limit, cursor)
                    assert status == 200
                    assert 0 < len(page["keys"]) <= limit
                    found += [entry["key"] for entry in page["keys"]]
                    cursor = page["cursor"]
                assert found == KEYS


async def test_a_page_that_can_only_end_at_a_long_key_is_refused_and_says_what_to_do() -> None:
    async with serving_stores(s=await filled(*KEYS[2:])) as here:
        wire = await here.connect()
        status, error = await listed(wire, 2, None)
        assert (status, error["errorCode"]) == (400, "ERR_STATE_KEYS")
        assert "write a larger limit, or raise --read-buffer-size" in error["message"]
        assert "c" * 100 not in error["message"]
        assert (await listed(wire, 3, None))[0] == 200
