"""What would stay in memory for each object or connection, although nothing uses it."""

from __future__ import annotations

from typing import Any

import kopf

from pannier_operator.__main__ import NoMemories


async def test_kopf_keeps_nothing_of_an_object() -> None:
    memories = NoMemories()
    body: Any = {"metadata": {"uid": "1", "name": "cart-1", "namespace": "shop"}}

    first = await memories.recall(body, noticed_by_listing=True, memobase=kopf.Memo())
    await memories.recall(body, memobase=kopf.Memo())
    await memories.forget(body)

    assert first.noticed_by_listing
    assert list(memories.iter_all_memories()) == []
