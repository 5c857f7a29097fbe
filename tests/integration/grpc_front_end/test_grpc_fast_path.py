"""The fast path answers as the general way does, byte for byte, and leaves nothing behind however a call ends."""

import asyncio
import gzip
from collections.abc import Callable
from itertools import count
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integration.grpc_front_end.grpc_wire import DAPR, GET, SAVE, Client, Serving, data, framed, get, save, serving
from integration.grpc_front_end.slow_store import SlowStore
from integration.http_front_end.failing_store import FailingStore
from msgspec import Struct
from msgspec.structs import replace
from servers.held_store import HeldStore
from servers.limits import grpc_limits

from pannier_sidecar.grpc_api import messages
from pannier_sidecar.grpc_api.calls import BEGUN_OF_READ
from pannier_sidecar.http2 import frames
from pannier_sidecar.http2.frames import ErrorCode
from pannier_sidecar.protobuf import encode
from pannier_sidecar.serving import Budget
from pannier_sidecar.state.begun_call import BegunCall
from pannier_sidecar.state.errors import OutcomeUnknownError, StoreUnavailableError
from pannier_sidecar.state.requests import Get, Write
from pannier_sidecar.state.store import Completion, StoredValue
from pannier_sidecar.stores import in_memory
from pannier_sidecar.stores.in_memory import InMemoryStore

DELETE = "DeleteState"
LAYOTTO = "spec.proto.runtime.v1.Runtime"
NOW = 1_700_000_000.0
ITEM = messages.StateItem


def delete(key: str) -> bytes:
    return encode(messages.DeleteStateRequest("statestore", key))


def two_items(key: str, value: bytes) -> bytes:
    """A save that has no fast path."""
    return encode(messages.SaveStateRequest("statestore", [ITEM(key, value), ITEM("other", b"1")]))


def taken(here: Serving) -> list[str]:
    """The method of each call that takes the fast path from now on."""
    seen: list[str] = []

    def counting(name: str, start: Callable[[bytes, BegunCall], bool]) -> Callable[[bytes, BegunCall], bool]:
        def begin(message: bytes, call: BegunCall) -> bool:
            is_begun = start(message, call)
            seen.extend([name] * is_begun)
            return is_begun

        return begin

    for path, method in here.services._methods.items():
        if method.fast is not None:
            name = path.decode().rpartition("/")[2]
            fast = replace(method.fast, start=counting(name, method.fast.start))
            here.services._methods[path] = replace(method, fast=fast)
    return seen


def without_fast_path(here: Serving) -> None:
    here.services.arrange(lambda name, answer: answer, None)


def in_flight(here: Serving) -> int:
    return here.service.directory.find("statestore").calls_in_flight


def begun(here: Serving) -> int:
    """Calls that the gates of all connections count as begun."""
    return sum(connection._calls._gate.begun for connection in here.listener.open)  # type: ignore[attr-defined]


# --- the same answers ---------------------------------------------------------------------------------------------

KEYS = st.sampled_from(("k", "k", "k", "a", "planet", "a||b", "", "\u00fc", "x" * 130))
STORES = st.sampled_from(("statestore",) * 6 + ("nowhere", ""))
METADATA = st.sampled_from(({}, {}, {}, {"a": "b"}, {"ttlInSeconds": "900"}, {"ttlInSeconds": "x"}))
VALUES = st.sampled_from((b"1", b"", b"v" * 127, b"v" * 128, b'"\xff"'))
ETAGS = st.sampled_from((None, None, None, messages.Etag(""), messages.Etag("0"), messages.Etag("9")))
OPTIONS = st.none() | st.builds(messages.StateOptions, st.sampled_from((0, 1, 2, 3)), st.sampled_from((0, 2, -1)))
ITEMS = st.builds(ITEM, KEYS, VALUES) | st.builds(ITEM, KEYS, VALUES, ETAGS, METADATA, OPTIONS)
GETS = st.builds(messages.GetStateRequest, STORES, KEYS) | st.builds(
    messages.GetStateRequest, STORES, KEYS, st.sampled_from((0, 1, 2, 3)), METADATA
)
SAVES = st.builds(lambda store, item: messages.SaveStateRequest(store, [item]), STORES, ITEMS) | st.builds(
    messages.SaveStateRequest, STORES, st.lists(ITEMS, max_size=3)
)
DELETES = st.builds(messages.DeleteStateRequest, STORES, KEYS) | st.builds(
    messages.DeleteStateRequest, STORES, KEYS, ETAGS, OPTIONS, METADATA
)
BULKS = st.builds(lambda keys: messages.GetBulkStateRequest("statestore", keys), st.lists(KEYS, max_size=3))
BYTES = st.one_of(
    st.just(lambda message: message),
    st.just(lambda message: message),
    st.just(lambda message: message[:-1]),
    st.just(lambda message: message + b"\x78\x01"),  # an unknown field
    st.just(lambda message: message + message),  # merged
    st.just(lambda message: b"\x12\x01k" + message),  # in another order
    st.just(lambda message: message.replace(b"k", b"\xff")),  # not UTF-8
    st.builds(
        lambda at, byte: lambda m: m[: at % (len(m) + 1)] + byte + m[at % (len(m) + 1) :], st.integers(0), st.binary()
    ),
)
FRAMING = st.one_of(
    *[st.just(lambda message: framed(message))] * 6,
    st.just(lambda message: framed(gzip.compress(message, mtime=0), is_compressed=True)),
    st.just(lambda message: framed(message) + framed(message)),
    st.just(lambda message: framed(message)[:-1]),
    st.just(lambda message: b""),
)
FIELDS = st.sampled_from(((), (), (), (("grpc-timeout", "60S"),), (("grpc-encoding", "gzip"),), (("a", "b"),)))
SERVICES = st.sampled_from((DAPR, DAPR, LAYOTTO))
Sent = tuple[str, str, bytes, tuple[tuple[str, str], ...], bool]
"""Service, method, body, more fields, and whether HEADERS and DATA are of one piece."""


def sent(method: str, kinds: st.SearchStrategy[Struct], *, is_plain: bool) -> st.SearchStrategy[Sent]:
    change = st.just(lambda message: message) if is_plain else BYTES
    frame = st.just(framed) if is_plain else FRAMING
    content = st.builds(lambda kind, change, frame: frame(change(encode(kind))), kinds, change, frame)
    return st.tuples(SERVICES, st.just(method), content, FIELDS, st.booleans())


def any_call(*, is_plain: bool) -> st.SearchStrategy[Sent]:
    kinds = ((GET, GETS), (SAVE, SAVES), (DELETE, DELETES), ("GetBulkState", BULKS))
    return st.one_of(*(sent(method, kind, is_plain=is_plain) for method, kind in kinds))


def begin(client: Client, call: Sent) -> int:
    service, method, content, more, is_one_piece = call
    stream = client.begin(method, *more, service=service)
    if is_one_piece:
        client.send(data(stream, content))
    else:
        client.send(data(stream, content[:7], is_last=False), data(stream, content[7:]))
    return stream


async def answers(calls: list[Sent], *, is_fast: bool, is_exact: bool, at_once: bool) -> list[list[bytes]]:
    store = InMemoryStore({})
    store._etags = count(7)
    with patch.object(in_memory, "time", lambda: NOW):
        async with serving(store, is_exact=is_exact) as here:
            if not is_fast:
                without_fast_path(here)
            client = await here.connect()
            for call in calls:
                stream = begin(client, call)
                if not at_once:
                    await client.answer(stream)
            streams = list(range(1, client.next_id, 2))
            for stream in streams:
                await client.answer(stream)
            assert in_flight(here) == begun(here) == 0
            return [client.frames[stream] for stream in streams]


@pytest.mark.parametrize("is_exact", [False, True])
@given(calls=st.lists(any_call(is_plain=False), min_size=8, max_size=20))
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
def test_every_call_is_answered_as_without_the_fast_path(is_exact: bool, calls: list[Sent]) -> None:
    async def scenario() -> None:
        fast, slow = [
            await answers([*calls, *calls], is_fast=is_fast, is_exact=is_exact, at_once=False)
            for is_fast in (True, False)
        ]
        assert fast == slow

    asyncio.run(scenario())


@given(calls=st.lists(any_call(is_plain=True), min_size=8, max_size=20))
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
def test_calls_that_are_sent_at_once_have_their_effects_in_the_same_order(calls: list[Sent]) -> None:
    async def scenario() -> None:
        fast, slow = [await answers(calls, is_fast=is_fast, is_exact=False, at_once=True) for is_fast in (True, False)]
        assert fast == slow

    asyncio.run(scenario())


@pytest.mark.transport
async def test_plain_calls_take_it() -> None:
    async with serving() as here:
        seen = taken(here)
        client = await here.connect()
        for _ in range(3):
            assert (await client.ask(SAVE, save("k", b"v" * 5000))).status == 0
            assert b"v" * 5000 in (await client.ask(GET, get("k"))).data
            assert (await client.ask(GET, get("k"), ("grpc-timeout", "60S"))).status == 0
            assert (await client.ask(DELETE, delete("k"))).status == 0
        assert seen == [SAVE, GET, GET, DELETE] * 3


async def test_a_call_that_came_first_begins_first() -> None:
    async with serving() as here:
        seen = taken(here)
        client = await here.connect()
        streams = [client.call(SAVE, two_items("k", b"old")), client.call(SAVE, save("k", b"new"))]
        for stream in streams:
            assert (await client.answer(stream)).status == 0
        assert b"new" in (await client.ask(GET, get("k"))).data
        assert seen == [GET]
        assert (await client.ask(SAVE, save("k", b"newer"))).status == 0
        assert seen == [GET, SAVE]


# --- calls that end otherwise ----------------------------------------------------------------------------------------


PLAIN = {GET: get("k"), SAVE: save("k", b"1"), DELETE: delete("k")}


@pytest.mark.transport
@pytest.mark.parametrize(
    ("method", "how"), [(GET, "reset"), (GET, "deadline"), (GET, "left"), (SAVE, "reset"), (DELETE, "left")]
)
async def test_a_call_that_is_given_up_is_counted_down_and_answered_no_more(method: str, how: str) -> None:
    message = PLAIN[method]
    store = HeldStore()
    async with serving(store) as here:
        statuses: list[int] = []
        here.services.arrange(lambda name, answer: answer, lambda name: lambda status, seconds: statuses.append(status))
        client = await here.connect()
        stream = client.call(method, message, *([("grpc-timeout", "50m")] if how == "deadline" else []))
        await store.until_held()
        assert in_flight(here) == 1
        if how != "deadline":  # which may have passed already
            assert begun(here) == 1
            assert here.listener.held > 0
        if how == "reset":
            client.send(frames.rst_stream(stream, ErrorCode.CANCEL))
        elif how == "left":
            client.writer.transport.abort()
        else:
            assert (await client.answer(stream)).status == 4
        await here.until(lambda: begun(here) == 0, "the end of the call for its client")
        assert here.listener.held == 0
        assert in_flight(here) == 1  # the store has it still
        await store.release()
        assert in_flight(here) == 0
        assert statuses == [1]
        if how != "left":
            stream = client.call(method, message)
            await store.release()
            assert (await client.answer(stream)).status == 0
            assert sorted(client.frames) == ([0, stream] if how == "reset" else [0, 1, stream])


async def test_errors_of_stores_are_answered_as_without_the_fast_path(subtests: pytest.Subtests) -> None:
    async def ask(method: str, error: Exception, *, is_fast: bool) -> tuple[list[bytes], list[str]]:
        store = FailingStore(error)  # type: ignore[arg-type]
        async with serving(store) as here:
            seen = taken(here)
            if not is_fast:
                without_fast_path(here)
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)  # an OSError is a defect
            client = await here.connect()
            await client.ask(method, PLAIN[method])
            assert (await client.ask(method, PLAIN[method])).status == 0
            assert in_flight(here) == begun(here) == 0
            return client.frames[1], seen

    away, cut = StoreUnavailableError("it is away"), OutcomeUnknownError("the line was cut")
    for method, error in ((GET, away), (GET, OSError()), (DELETE, away), (SAVE, away), (SAVE, cut), (SAVE, OSError())):
        with subtests.test(f"{method}: {error!r}"):
            fast, seen = await ask(method, error, is_fast=True)
            slow, none = await ask(method, error, is_fast=False)
            assert fast == slow
            assert seen == [method, method] and none == []


async def test_a_call_that_is_reset_with_its_request_never_reaches_a_store_that_has_a_task() -> None:
    store = SlowStore()
    async with serving(store) as here:
        seen = taken(here)
        client = await here.connect()
        stream = client.begin(GET)
        client.send(data(stream, framed(get("slow"))) + frames.rst_stream(stream, ErrorCode.CANCEL))
        assert (await client.ask(GET, get("k"))).status == 0
        assert seen == [GET, GET]
        assert in_flight(here) == begun(here) == 0
        assert not store.begun.is_set()


class LateTask(HeldStore):
    """A store that resumes a call when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.done = 0

    def begin_get(self, get: Get, completion: Completion[StoredValue | None]) -> None:
        self.held.append(lambda: completion.resume(self._rest()))

    def begin_write(self, write: Write, completion: Completion[None]) -> None:
        self.held.append(lambda: completion.resume(self._rest()))

    async def _rest(self) -> None:
        await asyncio.sleep(0)
        self.done += 1


@pytest.mark.parametrize("is_reset", [False, True])
async def test_the_rest_of_a_call_is_done_for_a_client_that_waits(is_reset: bool) -> None:
    store = LateTask()
    async with serving(store) as here:
        client = await here.connect()
        stream = client.call(SAVE, save("k", b"1"))
        await store.until_held()
        if is_reset:
            client.send(frames.rst_stream(stream, ErrorCode.CANCEL))
            await here.until(lambda: begun(here) == 0, "the reset")
        await store.release()
        if not is_reset:
            assert (await client.answer(stream)).status == 0
        await here.until(lambda: in_flight(here) == 0, "the end of the call")
        assert store.done == (not is_reset)
        assert begun(here) == 0


@pytest.mark.transport
async def test_a_client_that_leaves_while_the_rest_is_done_cancels_it() -> None:
    store = SlowStore()
    async with serving(store) as here:
        client = await here.connect()
        client.call(GET, get("slow"))
        async with asyncio.timeout(20):
            await store.begun.wait()
        assert in_flight(here) == begun(here) == 1
        client.writer.transport.abort()
        await here.until(lambda: store.cancelled == 1 and in_flight(here) == 0, "the end of the work")


# --- connections that end, and clients that do not read ---------------------------------------------------------------


@pytest.mark.transport
async def test_a_drain_waits_for_the_answers_of_calls_that_were_begun() -> None:
    store = HeldStore()
    async with serving(store) as here:
        client = await here.connect()
        streams = [client.call(GET, get("k")), client.call(SAVE, save("k", b"1"))]
        await store.until_held(2)
        stopping = asyncio.create_task(here.server.stop(20))
        while client.goaway is None or client.last_taken != streams[-1]:
            assert await client.read()
        assert not any(client.answers[stream].is_ended for stream in streams if stream in client.answers)
        await store.release()
        assert [(await client.answer(stream)).status for stream in streams] == [0, 0]
        await client.until_closed()
        await stopping


@pytest.mark.parametrize("size", [100, 200_000])
async def test_an_answer_waits_for_the_windows_of_its_client(size: int) -> None:
    async with serving() as here:
        client = await here.connect({frames.INITIAL_WINDOW_SIZE: 10})
        assert (await client.ask(SAVE, save("k", b"v" * size))).status == 0
        stream = client.call(GET, get("k"))
        await here.until(lambda: here.listener.held > size, "an answer that waits")
        assert begun(here) == in_flight(here) == 0
        other = client.call(GET, get("k"))  # waits in the gate until the answer before it is read
        await asyncio.sleep(0.05)
        client.send(frames.window_update(0, size + 100), frames.window_update(stream, size + 100))
        assert len((await client.answer(stream)).data) > size
        client.send(frames.window_update(0, size + 100), frames.window_update(other, size + 100))
        assert len((await client.answer(other)).data) > size
        assert here.listener.held == 0


@pytest.mark.transport
async def test_calls_beyond_the_share_of_a_connection_wait_in_the_gate() -> None:
    store = HeldStore()
    async with serving(store, budget=Budget(2**21)) as here:
        seen = taken(here)
        at_once = here.listener.at_once
        client = await here.connect()
        streams = [client.call(GET, get("k")) for _ in range(at_once + 3)]
        await store.until_held(at_once)
        await asyncio.sleep(0.05)
        assert len(seen) == begun(here) == at_once
        await store.release()
        assert [(await client.answer(stream)).status for stream in streams] == [0] * len(streams)
        assert begun(here) == in_flight(here) == 0


async def test_of_many_calls_read_at_once_only_a_few_begin_before_others_get_their_turn() -> None:
    async with serving() as here:
        seen = taken(here)
        client = await here.connect()
        assert (await client.ask(GET, get("k"))).status == 0
        written: list[bytes] = []
        streams = []
        with patch.object(client, "send", lambda *parts: written.extend(parts)):
            streams = [client.call(GET, get("k")) for _ in range(400)]
        (connection,) = here.listener.open
        connection.data_received(b"".join(written))  # type: ignore[attr-defined]
        assert len(seen) == 1 + BEGUN_OF_READ
        answered = [await client.answer(stream) for stream in streams]
        assert [one.reset for one in answered if one.reset] == [ErrorCode.REFUSED_STREAM] * (
            400 - BEGUN_OF_READ - grpc_limits().streams
        )
        assert begun(here) == in_flight(here) == 0
        assert (await client.ask(GET, get("k"))).status == 0
