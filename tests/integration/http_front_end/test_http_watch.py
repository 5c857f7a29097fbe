"""Watching keys over HTTP: the events byte for byte as browsers read them, and what is refused before they begin."""

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from integration.http_front_end.http_wire import Serving, get, request, save, serving, until
from servers.event_source import Event, EventStream, Refused, close_all, connect, target


@pytest.fixture(autouse=True)
async def no_stream_is_left() -> AsyncIterator[None]:
    yield
    await close_all()


VALUES: dict[str, tuple[bytes, dict[str, object]]] = {
    "number": (b"1.50", {"value": 1.5}),
    "text": (b'"line\\nbreak \xe2\x80\xa8 \xc3\xa4"', {"value": "line\nbreak \u2028 ä"}),
    "null": (b"null", {"value": None}),
    "on several lines": (b'{\r\n "a":\n [1,\r2]}', {"value": {"a": [1, 2]}}),
    "looks like an event": (b'"\\n\\nevent: delete\\ndata: {}"', {"value": "\n\nevent: delete\ndata: {}"}),
}


async def begun(here: Serving, path: str, last_id: str = "") -> EventStream:
    return await connect(here.port, path, last_id)


async def saved(here: Serving, **values: object) -> None:
    wire = await here.connect()
    for key, value in values.items():
        assert (await wire.ask(save(json.dumps([{"key": key, "value": value}])))).status == 201


def told(events: list[Event]) -> list[tuple[str, object]]:
    return [(event.name, event.data.get("key")) for event in events]


async def test_the_state_is_told_and_then_what_changes() -> None:
    async with serving() as here:
        await saved(here, a=1, b=2)
        stream = await begun(here, target(values=True))
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["x-accel-buffering"] == "no"
        found = await stream.until("ready")
        assert sorted(told(found[:-1])) == [("state", "a"), ("state", "b")]
        assert {event.key: event.data["value"] for event in found[:-1]} == {"a": 1, "b": 2}
        assert found[-1].data == {}
        await saved(here, a=3, c=4)
        (changed,) = await stream.until("change")
        assert (changed.key, changed.data["value"]) == ("a", 3)
        wire = await here.connect()
        assert (await wire.ask(get("/v1.0/state/statestore/a"))).headers["etag"] == changed.data["etag"]
        assert told(await stream.until("change")) == [("change", "c")]
        assert (await wire.ask(request("DELETE", "/v1.0/state/statestore/b"))).status == 200
        (deleted,) = await stream.until("delete")
        assert deleted.data == {"key": "b"}
        assert stream.parser.retry_ms == 1000
        ids = [event.last_id for event in (*found, changed, deleted)]
        assert all(each.isascii() and each.isprintable() and each for each in ids)


async def test_every_value_arrives_whole_however_it_is_spelt() -> None:
    async with serving() as here:
        stream = await begun(here, target(values=True))
        await stream.until("ready")
        wire = await here.connect()
        for key, (value, expected) in VALUES.items():
            body = b'[{"key":%b,"value":%b}]' % (json.dumps(key).encode(), value)
            assert (await wire.ask(save(body))).status == 201, key
            (changed,) = await stream.until("change")
            assert {name: changed.data[name] for name in expected} == expected, key


async def test_when_a_value_expires_is_told_with_it() -> None:
    async with serving() as here:
        stream = await begun(here, target(values=True))
        await stream.until("ready")
        wire = await here.connect()
        body = '[{"key": "a", "value": 1, "metadata": {"ttlInSeconds": "1000"}}]'
        assert (await wire.ask(save(body))).status == 201
        (changed,) = await stream.until("change")
        answer = await wire.ask(get("/v1.0/state/statestore/a"))
        assert changed.data["metadata"] == {"ttlExpireTime": answer.headers["metadata.ttlexpiretime"]}


async def test_without_values_there_are_keys_and_etags_alone() -> None:
    async with serving() as here:
        await saved(here, a=1)
        for path in (target(), target() + "?values=false", target() + "?values="):
            stream = await begun(here, path)
            (state, _) = await stream.until("ready")
            assert set(state.data) == {"key", "etag"}
            stream.close()


async def test_a_prefix_is_taken_as_it_is(subtests: pytest.Subtests) -> None:
    keys = ("order/1", "order/2", "orders", "%", "a+b c", "ä", "|", "a|", "*", "?&=#")
    async with serving() as here:
        wire = await here.connect()
        items = [{"key": key, "value": 1} for key in keys]
        assert (await wire.ask(save(json.dumps(items)))).status == 201
        for prefix in (*keys, "", "order", "order/", "app||", "||", "nothing"):
            with subtests.test(prefix):
                stream = await begun(here, target() + f"?prefix={quote(prefix, safe='')}")
                *found, _ = await stream.until("ready")
                assert sorted(event.key for event in found) == sorted(key for key in keys if key.startswith(prefix))
                stream.close()


async def test_a_client_that_returns_is_told_what_it_missed() -> None:
    async with serving() as here:
        await saved(here, a=1, b=1)
        first = await begun(here, target())
        last = (await first.until("ready"))[-1].last_id
        first.close()
        await saved(here, a=2, c=3)
        await until(lambda: len(here.listener.open) > 0, "connections")
        by_header = await begun(here, target(since="ffffffff.1"), last)
        assert told(await by_header.until("change")) == [("ready", None), ("change", "a")]
        by_parameter = await begun(here, target(since=last))
        assert told(await by_parameter.until("change")) == [("ready", None), ("change", "a")]
        assert told(await by_parameter.until("change")) == [("change", "c")]


async def test_a_client_with_an_id_of_somewhere_else_begins_anew() -> None:
    async with serving() as here:
        await saved(here, a=1)
        stream = await begun(here, target(), "0123abcd.77")
        events = await stream.until("ready")
        assert told(events) == [("reset", None), ("state", "a"), ("ready", None)]
        assert events[0].data["reason"]


REFUSED = {
    "?vales=true": "vales",
    "?values=yes": "values",
    "?values=1": "values",
    "?since=never": "since",
    "?since=" + "9" * 5000: "since",
    "?prefix=a&cursor=1": "cursor",
}


async def test_a_wrong_parameter_is_named(subtests: pytest.Subtests) -> None:
    async with serving() as here:
        for query, name in REFUSED.items():
            with subtests.test(query[:30]):
                with pytest.raises(Refused) as refused:
                    await begun(here, target() + query)
                assert (refused.value.status, refused.value.code) == (400, "ERR_MALFORMED_REQUEST")
                assert name in json.loads(refused.value.body)["message"]
        with pytest.raises(Refused) as refused:
            await begun(here, target(), "no id")
        assert "no id" in json.loads(refused.value.body)["message"]
        with pytest.raises(Refused) as refused:
            await begun(here, target(store="other"))
        assert refused.value.code == "ERR_STATE_STORE_NOT_FOUND"


async def test_a_client_that_accepts_no_events_is_refused() -> None:
    async with serving() as here:
        wire = await here.connect()
        for accept in (
            "application/json",
            "text/html, image/*;q=0.8",
            "text/event-stream;q=0",
            "text/event-stream; Q=0.000",
        ):
            answer = await wire.ask(get(target(), f"Accept: {accept}"))
            assert answer.status == 406, accept
            assert json.loads(answer.body)["errorCode"] == "ERR_NOT_ACCEPTABLE"
        for accept in ("*/*", "text/*;q=0.1", "application/json, TEXT/Event-Stream ; q=0.5", ""):
            wire = await here.connect()
            await wire.send(get(target(), f"Accept: {accept}"))
            assert (await wire.answer()).status == 200, accept


async def test_a_head_request_is_no_watch() -> None:
    async with serving() as here:
        wire = await here.connect()
        await wire.send(request("HEAD", target()))
        answer = await wire.answer(to_head=True)
        assert (answer.status, answer.headers["allow"]) == (405, "GET")


async def test_the_path_without_a_store_watches_the_default_one() -> None:
    async with serving() as here:
        await saved(here, a=1)
        stream = await begun(here, "/v1.0-alpha1/state/watch")
        assert told(await stream.until("ready")) == [("state", "a"), ("ready", None)]


async def test_many_changes_are_told_in_order_and_the_last_of_each_key_always() -> None:
    async with serving() as here:
        stream = await begun(here, target(values=True))
        await stream.until("ready")
        writing = asyncio.create_task(_count(here, keys=5, to=400))
        last: dict[str, int] = {}
        while any(last.get(f"k{number}") != 400 for number in range(5)):
            (change,) = await stream.until("change")
            assert change.data["value"] > last.get(change.key, 0)
            last[change.key] = change.data["value"]
        await writing


async def _count(here: Serving, *, keys: int, to: int) -> None:
    wire = await here.connect()
    for number in range(1, to + 1):
        items = [{"key": f"k{key}", "value": number} for key in range(keys)]
        assert (await wire.ask(save(json.dumps(items)))).status == 201
