"""`pannier.client` through a real sidecar: every call, with both clients; locks, and answers that are lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from servers.free_ports import free_port
from servers.pannier_process import Pannier

from pannier.client import (
    AsyncClient,
    Client,
    ConflictError,
    Delete,
    LockLostError,
    LockTakenError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
    Upsert,
)

TOKEN = "token-of-the-sidecar"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    place = {"XDG_DATA_HOME": str(tmp_path_factory.mktemp("state")), "DAPR_API_TOKEN": TOKEN}
    pannier = Pannier("run", "--http-port", "0", environment=place)
    yield f"http://127.0.0.1:{pannier.port()}"
    pannier.close()


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client("statestore", url=url, token=TOKEN) as found:
        yield found


class InOneLoop:
    """An AsyncClient whose methods are called as those of Client."""

    def __init__(self, url: str):
        self._runner = asyncio.Runner()
        self._client = AsyncClient(url=url, token=TOKEN)  # the default store is the same one

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *given, **options: self._runner.run(method(*given, **options))

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


@pytest.fixture(params=["sync", "async"])
def either(request: pytest.FixtureRequest, url: str) -> Iterator[Any]:
    found = Client("statestore", url=url, token=TOKEN) if request.param == "sync" else InOneLoop(url)
    yield found
    found.close()


def test_every_call_does_what_it_says(either: Any) -> None:
    for key in ("k", "a/b c?#%", "..", ".", "\u00fc\u4e16", "x" * 300):
        either.save(key, {"text": "\u2028\u00fc", "number": 2**60})
        item = either.get(key, strong=True)
        assert (item.key, item.value) == (key, {"text": "\u2028\u00fc", "number": 2**60})
        assert item.etag and item.expires_at is None
        assert either.exists(key)
        with pytest.raises(ConflictError) as conflict:
            either.save(key, 1, etag="99999")
        assert (conflict.value.status, conflict.value.error_code) == (409, "ERR_STATE_SAVE")
        assert not conflict.value.may_have_happened
        either.save(key, 2, etag=item.etag)
        with pytest.raises(ConflictError):
            either.save(key, 3, first_write=True)
        with pytest.raises(ConflictError):
            either.delete(key, etag=item.etag)
        either.delete(key)
        assert either.get(key) is None
        assert not either.exists(key)


def test_many_keys_at_once(either: Any) -> None:
    for number in range(3):
        either.save(f"many-{number}", number, ttl=3600 if number else -1)
    found = either.get_many(["many-0", "many-1", "many-2", "no such key"])
    assert [item.value for item in found.values()] == [0, 1, 2]
    assert found["many-0"].expires_at is None
    assert 3500 < (found["many-2"].expires_at - datetime.now(UTC)).total_seconds() <= 3601
    assert found["many-2"] == either.get("many-2")


def test_a_transaction_is_all_or_nothing(either: Any) -> None:
    either.save("t", 1)
    etag = either.get("t").etag
    either.transact(Upsert("t", 2, etag=etag), Upsert("u", 3, ttl=60), Delete("v"))
    assert (either.get("t").value, either.get("u").value) == (2, 3)
    with pytest.raises(ConflictError) as conflict:
        either.transact(Upsert("u", 4), Delete("t", etag=etag))
    assert conflict.value.error_code == "ERR_STATE_TRANSACTION"
    assert either.get("u").value == 3


def test_values_are_changed_where_they_are(either: Any) -> None:
    for key in ("n", "l", "g"):
        either.delete(key)
    assert either.increment("n") == 1
    assert either.increment("n", -3, floor=-5) == -2
    with pytest.raises(RefusedError) as refused:
        either.increment("n", 10, ceiling=5)
    assert refused.value.error_code == "ERR_STATE_OUT_OF_RANGE" and not refused.value.may_have_happened
    assert either.append("l", "a", {"b": None}) == 2
    assert either.append("l", [], max_length=2) == 2
    assert either.get("l").value == [{"b": None}, []]
    assert either.get_and_set("g", None, default="none") == "none"
    assert either.get_and_set("g", "second") is None
    assert either.get_and_set("g", 3, ttl=100) == "second"
    assert either.touch("g", 1000)
    assert not either.touch("no such key", 1000)
    with pytest.raises(ConflictError):
        either.increment("n", etag="99999")


def test_what_is_wrong_with_a_call_is_said_before_it_is_made(client: Client) -> None:
    for value in (float("nan"), object(), "\ud800"):
        with pytest.raises((ValueError, TypeError)):
            client.save("k", value)
    with pytest.raises(ValueError, match="has no name"):
        client.get("")
    with pytest.raises(ValueError, match="write 3 seconds or more"):
        client.lock("l", ttl=2)


@pytest.mark.parametrize("given", [{"token": "s3cret"}, {"store": "no-such-store"}])
def test_an_error_says_what_to_do(url: str, given: dict[str, str]) -> None:
    with Client(given.get("store"), url=url, token=given.get("token", TOKEN)) as client:
        with pytest.raises(RefusedError) as refused:
            client.save("k", "canary")
        assert not refused.value.may_have_happened
        words = {401: "pass it as token, or set DAPR_API_TOKEN", 400: "no-such-store"}[refused.value.status or 0]
        assert words in str(refused.value)
        assert "s3cret" not in str(refused.value) and "canary" not in str(refused.value)


def test_where_the_sidecar_is_comes_from_the_variables_of_daprs_sdks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAPR_HTTP_PORT", url.rpartition(":")[2])
    monkeypatch.setenv("DAPR_API_TOKEN", TOKEN)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # is not for a sidecar
    with Client() as client:
        client.save("k", 1)
    with Client(url=f"http://127.0.0.1:{free_port()}") as client, pytest.raises(UnreachableError) as unreachable:
        client.save("k", 1)
    assert "cannot be reached (ConnectError); start it" in str(unreachable.value)


class Foreign(BaseHTTPRequestHandler):
    """A server that is no sidecar."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.answer)  # type: ignore[attr-defined]

    do_GET = do_DELETE = do_POST  # noqa: N815  # names of http.server

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize("answer", [b"hello", b"[1]", b'{"value": "x"}', b"null", b"[" * 100_000])
def test_a_server_that_is_no_sidecar_is_no_crash(answer: bytes) -> None:
    with HTTPServer(("127.0.0.1", 0), Foreign) as server:
        server.answer = answer  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Client(url=f"http://127.0.0.1:{server.server_port}", token="t") as client:
            calls: list[Callable[[], object]] = [
                lambda: client.increment("k"),
                lambda: client.append("k", 1),
                lambda: client.touch("k", 1),
                lambda: client.exists("k"),
                lambda: client.get_many(["k"]),
            ]
            for call in calls:
                with pytest.raises(RefusedError, match="but not as a sidecar; is it one"):
                    call()
        server.shutdown()


class Losing(httpx.HTTPTransport):
    """Loses answers after the sidecar has carried out the request, or requests before; counts what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0
        """How many requests pass before some are lost."""
        self.loses = 0
        self.is_after = True
        self.sent = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        if self.passes or not self.loses:
            self.passes = max(0, self.passes - 1)
            return super().handle_request(request)
        self.loses -= 1
        if not self.is_after:
            raise httpx.ConnectError("canary")
        super().handle_request(request).close()
        raise httpx.ReadError("canary")


def test_only_what_may_be_repeated_is_repeated(url: str) -> None:
    losing = Losing()
    with Client(url=url, token=TOKEN, transport=losing) as client:
        client.delete("r")
        writes: list[Callable[[], object]] = [
            lambda: client.save("r", 1),
            lambda: client.increment("r"),
            lambda: client.transact(Upsert("r", 1)),
            lambda: client.touch("r", 100),
            lambda: client.delete("r"),
        ]
        for write in writes:
            losing.loses, losing.sent, losing.is_after = 1, 0, True
            with pytest.raises(OutcomeUnknownError, match="read before you repeat it") as unknown:
                write()
            assert losing.sent == 1
            assert unknown.value.may_have_happened and "canary" not in str(unknown.value)
            losing.loses, losing.sent, losing.is_after = 2, 0, False
            write()
            assert losing.sent == 3
        client.save("r", 5)
        for read in (lambda: client.get("r"), lambda: client.get_many(["r"]), lambda: client.exists("r")):
            losing.loses, losing.sent, losing.is_after = 2, 0, True
            assert read()
            assert losing.sent == 3
            losing.loses = 3
            with pytest.raises(UnreachableError):
                read()


def test_a_change_with_an_idempotency_key_is_repeated_and_carried_out_once(url: str) -> None:
    losing = Losing()
    with Client(url=url, token=TOKEN, transport=losing) as client:
        for key in ("once", "twice", "thrice"):
            client.delete(key)
        losing.sent = 0
        changes: list[tuple[Callable[[], object], object]] = [
            (lambda: client.increment("once", idempotency_key="a"), 1),
            (lambda: client.append("twice", "x", idempotency_key="b"), 1),
            (lambda: client.get_and_set("thrice", 1, idempotency_key="c"), None),
        ]
        for change, result in changes:
            losing.loses, losing.sent = 2, 0
            assert change() == result
            assert losing.sent == 3
            losing.loses = 3
            with pytest.raises(OutcomeUnknownError):
                change()
            assert change() == result


def test_a_lock_has_one_holder_and_is_free_after_its_block(client: Client, url: str) -> None:
    with client.lock("lock", ttl=3) as lock:
        lock.check()
        for _ in range(3):
            lock.transact(Upsert("guarded", 1))
        with Client(url=url, token=TOKEN) as other:
            with pytest.raises(LockTakenError, match="somebody else holds the lock 'lock'"), other.lock("lock"):
                pass
            time.sleep(4)  # longer than it holds without being renewed
            with pytest.raises(LockTakenError), other.lock("lock", wait=0.1):
                pass
        assert lock.is_held
    assert not lock.is_held
    with client.lock("lock", ttl=3) as again:
        pass
    with pytest.raises(RuntimeError, match="call the client's lock"), again:
        pass
    assert client.get("lock") is None


def test_of_many_who_wait_for_a_lock_one_at_a_time_has_it(url: str) -> None:
    inside, most, errors = 0, 0, []

    def work() -> None:
        nonlocal inside, most
        try:
            with Client(url=url, token=TOKEN) as client, client.lock("contended", wait=120):
                inside += 1
                most = max(most, inside)
                count = client.get("count")
                client.save("count", 1 + (count.value if count else 0))
                inside -= 1
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Client(url=url, token=TOKEN) as client:
        assert (errors, most, client.get("count").value) == ([], 1, 8)


def test_a_lock_that_is_lost_says_so_and_guards_what_is_written_under_it(client: Client) -> None:
    with (
        pytest.raises(LockLostError, match="was lost before the end of its block"),
        client.lock("lost", ttl=30) as lock,
    ):
        client.save("lost", {"owner": "somebody else"})
        with pytest.raises(LockLostError):
            lock.transact(Upsert("of the holder", 1))
        assert not lock.is_held
        assert client.get("of the holder") is None
        with pytest.raises(LockLostError):
            lock.check()
    assert client.get("lost").value == {"owner": "somebody else"}


def test_a_holder_that_stood_still_writes_nothing_when_another_one_has_the_lock(client: Client, url: str) -> None:
    client.delete("guarded")
    still = client.lock("stood still", ttl=3)
    still.__enter__()
    still._is_over.set()  # its process is stopped, and its clock with it
    still._lease._ends_at += 3600
    with Client(url=url, token=TOKEN) as other, other.lock("stood still", wait=60) as lock:
        assert still.is_held  # as it believes
        with pytest.raises(LockLostError):
            still.transact(Upsert("guarded", "by the one that stood still"))
        lock.transact(Upsert("guarded", "by the holder"))
        with pytest.raises(LockLostError):
            still.__exit__(None, None, None)
        lock.check()
    item = client.get("guarded")
    assert item is not None and item.value == "by the holder"


def test_a_conflict_of_the_guarded_write_is_no_loss(client: Client) -> None:
    client.save("guarded", 1)
    with client.lock("fine") as lock:
        with pytest.raises(ConflictError):
            lock.transact(Upsert("guarded", 2, etag="99999"))
        lock.transact(Upsert("guarded", 3))
        lock.check()
    assert client.get("guarded").value == 3


def test_a_lock_whose_answers_are_lost_is_held_all_the_same(url: str) -> None:
    losing = Losing()
    with Client(url=url, token=TOKEN, transport=losing) as client:
        losing.loses = 1
        with client.lock("doubt", ttl=30) as lock:
            losing.loses = 1
            with pytest.raises(OutcomeUnknownError):
                lock.transact(Upsert("under doubt", 1))
            lock.transact(Upsert("under doubt", 2))
            losing.passes, losing.loses = 1, 3
            lock.transact(Upsert("under doubt", 3))  # what is read after it does not make it undone
            lock.transact(Upsert("under doubt", 4))
            lock.check()
        assert client.get("doubt") is None


async def test_a_task_that_loses_its_lock_is_cancelled_in_its_block(url: str) -> None:
    async with AsyncClient(url=url, token=TOKEN) as client:
        with pytest.raises(LockLostError):
            async with client.lock("of a task", ttl=3) as lock:
                await lock.transact(Upsert("x", 1))
                await client.save("of a task", "another's")
                await asyncio.sleep(120)
        assert asyncio.current_task().cancelling() == 0
        async with client.lock("another", ttl=3):
            with pytest.raises(LockTakenError):
                async with client.lock("another", wait=0.2):
                    pass
            await asyncio.sleep(4)
        assert await client.get("another") is None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2), client.lock("cancelled from outside"):
                await asyncio.sleep(120)
        assert await client.get("cancelled from outside") is None
