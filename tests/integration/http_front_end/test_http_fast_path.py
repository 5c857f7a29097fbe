"""The fast path answers as the general way does, byte for byte, and skips none of its checks."""

import asyncio
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integration.http_front_end.failing_store import FailingStore, serving_stores
from integration.http_front_end.http_wire import (
    CountedFastPath,
    Serving,
    Wire,
    api_over,
    get,
    request,
    save,
    serving,
    until,
    without_fast_path,
)
from servers.held_store import HeldStore
from servers.limits import http_limits

from pannier_sidecar.state.directory import Directory
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Set
from pannier_sidecar.state.store import Completion, StoredValue
from pannier_sidecar.stores.in_memory import InMemoryStore

ITEM = '[{"key":"k","value":{"a" : 1}}]'


def delete(target: str, *headers: str) -> bytes:
    return request("DELETE", target, None, *headers)


def fast_path(here: Serving) -> CountedFastPath:
    """What counts the requests that took the fast path."""
    found = here.listener.fast_path  # type: ignore[attr-defined]
    assert isinstance(found, CountedFastPath)
    return found


# --- the same answers ---------------------------------------------------------------------------------------------

KEYS = st.sampled_from(
    ("k", "a", "planet", "x:y", "a|b", "a||b", "a%20b", "~", "-", "a.b", ".", "..", "a+b", "@", "bulk")
)
STORES = st.sampled_from(("statestore",) * 6 + ("nowhere", "bulk", "transaction", "stat%65store", "", "."))
FIELDS = st.sampled_from(
    ((),) * 6
    + (
        ("Accept: */*", "User-Agent: curl/8"),
        ("Connection: keep-alive",),
        ("If-Match: 3",),
        ("consistency: strong",),
        ("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",),
        ("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Accept: */*"),
        ("TraceParent: 00-00000000000000000000000000000000-b7ad6b7169203331-01",),
        ("Content-Type: application/json",),
    )
)
BODIES = st.sampled_from(
    (
        *(ITEM, ITEM, ITEM, '[{"key":"a","value":"\u00fc"}]', '"[]"', "{}", "[]", "[{]", '[{"key":"k"}]'),
        '[{"key":"planet","value":1,"metadata":{"ttlInSeconds":"900"}}]',
        '[{"key":"k","value":1,"metadata":{"ttlInSeconds":"x"}}]',
        *('[{"key":"k","value":1,"etag":"9"}]', '[{"key":"k","value":1,"options":{"concurrency":"first-write"}}]'),
        *('[{"key":"k","value":1},{"key":"a","value":2}]', '[{"key":"","value":1}]', '[{"Key":"k","value":2}]'),
        '[{"key":"a||b","value":1}]',
        '[{"key":"k","value":1,"options":{"retryPolicy":{"threshold":1,"interval":1}}}]',
    )
)
QUERIES = st.sampled_from(("", "metadata.a=1", "consistency=strong"))
REQUESTS = st.one_of(
    st.builds(lambda store, key, fields: get(f"/v1.0/state/{store}/{key}", *fields), STORES, KEYS, FIELDS),
    st.builds(lambda store, key, fields: delete(f"/v1.0/state/{store}/{key}", *fields), STORES, KEYS, FIELDS),
    st.builds(lambda store, body, fields: save(body, *fields, target=f"/v1.0/state/{store}"), STORES, BODIES, FIELDS),
    st.builds(lambda key: get(f"/v1.0/state/{key}"), KEYS),
    st.builds(
        lambda key, query: get(f"/v1.0/state/statestore/{key}?{query}"), KEYS, st.sampled_from(("", "metadata.a=1"))
    ),
)


async def answers(wire: Wire, sent: list[bytes]) -> list[bytes]:
    got = []
    for one in sent:
        await wire.send(one)
        answer = await wire.answer()
        timeless = {
            **answer.headers,
            "date": "",
            "metadata.ttlexpiretime": str("metadata.ttlexpiretime" in answer.headers),
        }
        headers = sorted(f"{name}: {value}" for name, value in timeless.items())
        got.append(b"%d %b %b" % (answer.status, ";".join(headers).encode(), answer.body))
    return got


@pytest.mark.parametrize("profile", ["spec", "dapr"])
@given(sent=st.lists(REQUESTS, min_size=20, max_size=60))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_request_is_answered_as_without_the_fast_path(profile: str, sent: list[bytes]) -> None:
    async def scenario() -> None:
        seen = []
        for has_fast_path in (True, False):
            store = InMemoryStore({})
            store._etags = count(7)
            async with serving_stores(profile, statestore=store) as here:
                if not has_fast_path:
                    without_fast_path(here)
                wire = await here.connect()
                seen.append(await answers(wire, [*sent, *sent]))  # header fields are known the second time
        assert seen[0] == seen[1]

    asyncio.run(scenario())


@pytest.mark.transport
async def test_plain_requests_take_the_fast_path_from_the_second_one_on() -> None:
    async with serving() as here:
        wire = await here.connect()
        for _ in range(3):
            assert (await wire.ask(save(ITEM, "Accept: */*"))).status == 201
            assert (await wire.ask(get("/v1.0/state/statestore/k", "Accept: */*"))).body == b'{"a" : 1}'
            assert (await wire.ask(delete("/v1.0/state/statestore/k", "Accept: */*"))).status == 200
        assert fast_path(here).taken >= 6


def have_come_and_gone(here: Serving, count: int) -> bool:
    return here.listener.budget.arrivals == count and not here.connections


async def test_a_request_with_a_header_that_may_matter_never_takes_it(subtests: pytest.Subtests) -> None:
    for header in (
        "Origin: https://example.com",
        "If-Match: 1",
        "concurrency: first-write",
        "Connection: close",
        "Expect: 100-continue",
        "Transfer-Encoding: chunked",
        "X-Unknown: 1",
    ):
        with subtests.test(header):
            async with serving() as here:
                for _ in range(3):
                    wire = await here.connect()
                    await wire.send(get("/v1.0/state/statestore/k", header))
                    await wire.close()
                await until(lambda here=here: have_come_and_gone(here, 3), "the end of the connections")
                assert fast_path(here).taken == 0


@pytest.mark.parametrize("place", [0, 1])
async def test_a_trace_context_changes_with_each_request_and_comes_back(place: int) -> None:
    async with serving() as here:
        wire = await here.connect()
        for number in range(1, 5):
            trace = f"00-{number:032x}-b7ad6b7169203331-01"
            headers = ["Accept: */*"]
            headers.insert(place, f"traceparent: {trace}")
            for sent in (save(ITEM, *headers), get("/v1.0/state/statestore/k", *headers)):
                assert (await wire.ask(sent)).headers["traceparent"] == trace
            headers[place] = f"traceparent: 00-{0:032x}-b7ad6b7169203331-01"  # counts as absent
            assert "traceparent" not in (await wire.ask(get("/v1.0/state/statestore/k", *headers))).headers
        assert fast_path(here).taken >= 9


async def test_two_trace_contexts_or_one_of_another_form_go_the_general_way() -> None:
    trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with serving() as here:
        for headers in ((trace, trace), (trace.replace("00-", "01-") + "-more",), (trace, "tracestate: a=1")):
            for _ in range(3):
                wire = await here.connect()
                await wire.ask(get("/v1.0/state/statestore/k", *headers))
        assert fast_path(here).taken == 0


async def test_header_fields_that_one_port_has_learned_are_not_known_to_another() -> None:
    async with serving() as here, serving() as other:
        assert (await (await here.connect()).ask(get("/v1.0/state/statestore/k", "Accept: a"))).status == 204
        assert fast_path(here)._known != fast_path(other)._known


async def test_a_token_is_compared_before_a_request_takes_it() -> None:
    api = await api_over(InMemoryStore({}), token="secret")
    async with serving(api.answer) as here:
        fast_path(here)._known.clear()  # they were learned without a token
        wire = await here.connect()
        for _ in range(3):
            assert (await wire.ask(get("/v1.0/state/statestore/k"))).status == 401
            assert (await wire.ask(get("/v1.0/state/statestore/k", "dapr-api-token: secreT"))).status == 401
        assert fast_path(here).taken == 0
        for _ in range(3):
            assert (await wire.ask(get("/v1.0/state/statestore/k", "dapr-api-token: secret"))).status == 204
        assert fast_path(here).taken == 2


async def test_many_different_header_fields_are_not_all_remembered() -> None:
    async with serving() as here:
        wire = await here.connect()
        for number in range(400):
            await wire.ask(get("/v1.0/state/statestore/k", f"User-Agent: {number}"))
        await wire.ask(get("/v1.0/state/statestore/k", "User-Agent: " + "x" * 2000))
        known = fast_path(here)._known
        assert len(known) <= 256
        assert max(map(len, known)) <= 1024


# --- stores that fail, and stores that are slow ----------------------------------------------------------------------


async def test_errors_of_stores_are_answered_as_without_the_fast_path(subtests: pytest.Subtests) -> None:
    async def ask(sent: bytes, error: StoreError, *, is_fast: bool) -> tuple[int, dict[str, str], bytes]:
        store = FailingStore()
        async with serving_stores(statestore=store) as here:
            wire = await here.connect()
            await wire.ask(sent)  # its header fields are known from now on
            if not is_fast:
                without_fast_path(here)
            store.faults = [error]
            answer = await wire.ask(sent)
            assert await wire.is_usable()
            return answer.status, {**answer.headers, "date": ""}, answer.body

    away, cut = StoreUnavailableError("it is away"), OutcomeUnknownError("the line was cut")
    one_get, one_delete = get("/v1.0/state/statestore/k"), delete("/v1.0/state/statestore/k")
    for sent, error in ((one_get, away), (one_delete, away), (save(ITEM), away), (save(ITEM), cut)):
        with subtests.test(f"{sent[:6]!r}: {error}"):
            assert await ask(sent, error, is_fast=True) == await ask(sent, error, is_fast=False)


@pytest.mark.transport
async def test_a_client_that_leaves_leaves_no_call_behind() -> None:
    store = HeldStore()
    async with serving(store=store) as here:
        assert here.api is not None
        served = here.api.service.directory.find("statestore")
        wire = await here.connect()
        await wire.send(get("/v1.0/state/statestore/k"))
        await until(lambda: bool(store.held), "a call")
        assert served.calls_in_flight == 1
        wire.reset()
        await until(lambda: not here.connections, "the end of the connection")
        await store.release()
        assert served.calls_in_flight == 0


@pytest.mark.transport
async def test_a_client_that_leaves_before_an_error_leaves_no_call_behind() -> None:
    class LateError(HeldStore):
        def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
            async def fail() -> StoredValue | None:
                raise StoreUnavailableError("it is away")

            self.held.append(lambda: completion.resume(fail()))

    store = LateError()
    async with serving(store=store) as here:
        assert here.api is not None
        served = here.api.service.directory.find("statestore")
        wire = await here.connect()
        await wire.ask(get("/v1.0/healthz"))  # the general way has made its task
        await wire.send(get("/v1.0/state/statestore/k"))
        await until(lambda: bool(store.held), "a call")
        wire.reset()
        await until(lambda: not here.connections, "the end of the connection")
        await store.release()
        await until(lambda: served.calls_in_flight == 0, "the end of the call")


@pytest.mark.transport
async def test_requests_behind_one_on_the_fast_path_are_answered_after_it() -> None:
    store = HeldStore()
    async with serving(store=store) as here:
        wire = await here.connect()
        await wire.send(get("/v1.0/state/statestore/k"))
        await until(lambda: bool(store.held), "a call")
        await wire.send(get("/v1.0/healthz") + get("/v1.0/nothing"))
        await asyncio.sleep(0.05)
        assert not wire.has_more()
        await store.release()
        first, second, third = [await wire.answer() for _ in range(3)]
        assert "content-type" not in first.headers
        assert (first.status, second.status, third.status) == (204, 204, 404)
        assert await wire.is_usable()


async def test_nonsense_behind_a_request_is_refused_after_its_answer() -> None:
    store = HeldStore()
    async with serving(store=store) as here:
        wire = await here.connect()
        await wire.send(get("/v1.0/state/statestore/k"))
        await until(lambda: bool(store.held), "a call")
        await wire.send(b"\x00\x01 nonsense\r\n\r\n")
        await asyncio.sleep(0.05)
        await store.release()
        assert [(await wire.answer()).status for _ in range(2)] == [204, 400]
        assert await wire.rest() == b""


@pytest.mark.transport
async def test_a_half_closed_connection_gets_its_answer_and_is_closed() -> None:
    store = HeldStore()
    async with serving(store=store) as here:
        wire = await here.connect()
        await wire.send(get("/v1.0/state/statestore/k"))
        wire.writer.write_eof()
        await store.release()
        answer = await wire.answer()
        assert (answer.status, answer.closes) == (204, True)
        assert await wire.rest() == b""


@pytest.mark.transport
async def test_a_drain_waits_for_the_answer_and_announces_the_end() -> None:
    store = HeldStore()
    async with serving(store=store) as here:
        wire = await here.connect()
        await wire.send(get("/v1.0/state/statestore/k"))
        await until(lambda: bool(store.held), "a call")
        stopping = asyncio.create_task(here.server.stop(20))
        await until(lambda: here.listener.is_draining, "the drain")
        await store.release()
        answer = await wire.answer()
        assert (answer.status, answer.closes) == (204, True)
        await wire.close()
        await stopping


async def test_the_body_of_a_save_is_counted_until_it_is_answered() -> None:
    store = HeldStore()
    async with serving(store=store) as here:
        wire = await here.connect()
        assert (await wire.ask(save(ITEM))).status == 201  # the general way, which does not begin calls
        await wire.send(save(ITEM))
        await until(lambda: bool(store.held), "a call")
        assert here.listener.held == len(ITEM)
        await store.release()
        assert (await wire.answer()).status == 201
        assert here.listener.held == 0


@pytest.mark.transport
async def test_a_large_value_is_written_and_waited_for() -> None:
    value = b'"' + b"x" * 5_000_000 + b'"'
    store = InMemoryStore({})
    async with serving(store=store) as here:
        await store.set(Set("app||k", value))
        wire = await here.connect(receive_buffer=4096)
        await wire.send(get("/v1.0/state/statestore/k"))
        await until(lambda: any(c._drained is not None for c in here.connections), "an answer that has to wait")
        await wire.send(get("/v1.0/healthz"))
        assert (await wire.answer()).body == value
        assert (await wire.answer()).status == 204


async def test_a_store_that_is_taken_away_is_not_served_any_more() -> None:
    async with serving() as here:
        assert here.api is not None
        wire = await here.connect()
        for _ in range(2):
            assert (await wire.ask(get("/v1.0/state/statestore/k"))).status == 204
        here.api.service.directory = Directory("app")
        assert (await wire.ask(get("/v1.0/state/statestore/k"))).status >= 400


@pytest.mark.transport
async def test_a_request_behind_the_last_answer_is_not_carried_out() -> None:
    """The last answer says that it is the last, so the client may send the request elsewhere."""
    store = InMemoryStore({})
    async with serving(store=store, limits=http_limits(unused=20, lingering=20)) as here:
        wire = await here.connect()
        assert (await wire.ask(save(ITEM))).status == 201  # its header fields are known from now on
        stopping = asyncio.create_task(here.server.stop(20))
        await until(lambda: here.listener.is_draining, "the drain")
        answer = await wire.ask(get("/v1.0/state/statestore/k"))
        assert (answer.status, answer.closes) == (200, True)
        await wire.send(save('[{"key":"k","value":{"a" : 2}}]'))
        assert await wire.rest() == b""
        await wire.close()
        await stopping
        found = await store.get(Get("app||k"))
        assert found is not None
        assert found.value == b'{"a" : 1}'


async def test_the_body_of_a_save_that_is_answered_at_once_is_not_counted_afterwards() -> None:
    async with serving(limits=http_limits(unused=20, lingering=20)) as here:
        wire = await here.connect()
        assert (await wire.ask(save(ITEM))).status == 201
        stopping = asyncio.create_task(here.server.stop(20))
        await until(lambda: here.listener.is_draining, "the drain")
        assert (await wire.ask(save(ITEM))).status == 201
        assert fast_path(here).taken == 1
        assert here.listener.held == 0
        await wire.close()
        await stopping


class DefectiveStore(InMemoryStore):
    """Returns something that is not a value, or raises an error that is not a StoreError."""

    def __init__(self, *, is_late: bool = False):
        super().__init__({})
        self.is_late = is_late

    async def get(self, get: Get) -> StoredValue | None:
        if self.is_late:
            raise ZeroDivisionError
        return StoredValue(b"1", "1", -(10**15))

    def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
        if self.is_late:
            completion.resume(self.get(get))
        else:
            asyncio.get_running_loop().call_soon(completion.complete, StoredValue(b"1", "1", -(10**15)))


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_defect_is_answered_and_leaves_no_call_behind(is_late: bool) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda _, __: None)
    async with serving(store=DefectiveStore(is_late=is_late)) as here:
        assert here.api is not None
        for is_fast in (True, False):
            wire = await here.connect()
            await wire.send(request("HEAD", "/v1.0/healthz"))
            await wire.answer(to_head=True)
            answer = await wire.ask(get("/v1.0/state/statestore/k"))
            assert (answer.status, answer.closes) == (500, True)
            assert b"defect" in answer.body
            assert await wire.rest() == b""
            if is_fast:
                assert fast_path(here).taken == 1
            without_fast_path(here)
        assert here.api.service.directory.find("statestore").calls_in_flight == 0


async def test_header_fields_that_are_known_push_no_others_out() -> None:
    async with serving() as here:
        wire = await here.connect()
        for number in range(300):
            await wire.ask(get("/v1.0/state/statestore/k", f"User-Agent: {number}"))
        known = list(fast_path(here)._known)
        for _ in range(3):
            await wire.ask(get("/v1.0/state/statestore/a||b", "User-Agent: 299"))
        assert list(fast_path(here)._known) == known
