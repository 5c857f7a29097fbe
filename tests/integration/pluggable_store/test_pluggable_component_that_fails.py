"""A component is slow, silent, hostile, or goes away: calls end in time, with Pannier's words and the right promise."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from servers.opened_store import nothing_left, opened, refusal_of
from servers.scripted_component import (
    BULK_GET,
    DELETE,
    GET,
    INIT,
    SET,
    V1,
    Refusal,
    ScriptedComponent,
    of_kit,
    scripted,
    scripted_store,
)

from pannier_crds.secret import Secret
from pannier_sidecar.network import answers as allowed_answers
from pannier_sidecar.protobuf import encode
from pannier_sidecar.state.errors import (
    KitError,
    OutcomeUnknownError,
    StoreError,
    StoreRefusedError,
    StoreUnavailableError,
)
from pannier_sidecar.state.requests import Delete, Get, Set
from pannier_sidecar.state.store import StoredValue
from pannier_sidecar.stores.pluggable import messages
from pannier_sidecar.stores.pluggable.settings import chosen
from pannier_sidecar.stores.pluggable.store import PluggableStore

VALUE = encode(messages.GetResponse(b"1", messages.Etag("7")))
Code = grpc.StatusCode


async def error_of(call: Any) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await call
    assert "secret" not in str(caught.value)
    return caught.value


CODES = {
    Code.UNAVAILABLE: (StoreUnavailableError, OutcomeUnknownError),
    Code.INTERNAL: (StoreUnavailableError, OutcomeUnknownError),
    Code.UNKNOWN: (StoreUnavailableError, OutcomeUnknownError),
    Code.ABORTED: (StoreUnavailableError, OutcomeUnknownError),
    Code.INVALID_ARGUMENT: (StoreRefusedError, StoreRefusedError),
    Code.FAILED_PRECONDITION: (StoreRefusedError, StoreRefusedError),
    Code.PERMISSION_DENIED: (StoreRefusedError, StoreRefusedError),
    Code.RESOURCE_EXHAUSTED: (StoreRefusedError, StoreRefusedError),
}
"""What a read and a write with that answer end with."""


async def test_a_code_says_whether_the_write_may_have_happened(tmp_path: Path, subtests: pytest.Subtests) -> None:
    async with scripted_store(tmp_path) as (component, store):
        for code, (of_read, of_write) in CODES.items():
            with subtests.test(code.name):
                component.answers |= dict.fromkeys((GET, SET, DELETE), Refusal(code))
                assert type(await error_of(store.get(Get("k")))) is of_read
                assert type(await error_of(store.set(Set("k", b"1")))) is of_write
                assert type(await error_of(store.delete(Delete("k")))) is of_write


async def test_an_error_of_daprs_kit_is_passed_on(tmp_path: Path, subtests: pytest.Subtests) -> None:
    async with scripted_store(tmp_path, password=Secret("opensesame")) as (component, store):
        component.answers[SET] = of_kit(
            Code.RESOURCE_EXHAUSTED, "quota of\nopensesame is used up", http_code="429", tag="ERR_QUOTA"
        )
        error = await error_of(store.set(Set("k", b"1")))
        assert isinstance(error, KitError)
        assert (error.http_status, error.grpc_code, error.tag) == (429, 8, "ERR_QUOTA")
        assert str(error) == "the pluggable component state.scripted says: quota of *** is used up"
        for name, fields in {
            "no error": {"http_code": "200"},
            "no status": {"http_code": "12x"},
            "no number": {},
            "another digit": {"http_code": "४०४"},
        }.items():
            with subtests.test(name):
                component.answers[SET] = of_kit(Code.INVALID_ARGUMENT, "a secret", **fields)
                assert type(await error_of(store.set(Set("k", b"1")))) is StoreRefusedError


async def test_what_a_component_says_of_its_settings(tmp_path: Path) -> None:
    refused = of_kit(Code.INVALID_ARGUMENT, "file is missing", http_code="400")
    with scripted(tmp_path, {INIT: refused}) as component:
        error = await refusal_of(PluggableStore, component.settings())
        assert isinstance(error, KitError) and "state.scripted says: file is missing" in str(error)
        component.answers[INIT] = Refusal(Code.INVALID_ARGUMENT)
        error = await refusal_of(PluggableStore, component.settings())
        assert isinstance(error, StoreRefusedError)
        assert str(error).endswith("refused the call (INVALID_ARGUMENT); its own log may say why")


async def test_a_silent_component(tmp_path: Path) -> None:
    async with scripted_store(tmp_path, timeout=0.5) as (component, store):
        component.answers |= dict.fromkeys((GET, SET), component.be_silent)
        error = await error_of(store.get(Get("k")))
        assert isinstance(error, StoreUnavailableError) and "did not answer within 0.5 s" in str(error)
        assert isinstance(await error_of(store.set(Set("k", b"1"))), OutcomeUnknownError)


async def test_a_component_that_is_silent_from_the_start(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for path in (V1, INIT):
        with subtests.test(path), scripted(tmp_path) as component:
            component.answers[path] = component.be_silent
            error = await refusal_of(PluggableStore, component.settings(0.5))
            assert isinstance(error, StoreUnavailableError) and "did not answer within 0.5 s" in str(error)


async def test_answers_that_are_no_messages(tmp_path: Path) -> None:
    async with scripted_store(tmp_path, dict.fromkeys((GET, BULK_GET, SET), b"\xff\xff\xff")) as (_, store):
        error = await error_of(store.get(Get("k")))
        assert isinstance(error, StoreRefusedError) and "answered with what is no GetResponse" in str(error)
        (of_bulk,) = await store.bulk_get([Get("k")])
        assert "answered with what is no BulkGetResponse" in str(of_bulk)
        await store.set(Set("k", b"1"))  # its answer has no content that counts


async def test_an_answer_that_is_too_large(tmp_path: Path) -> None:
    huge = bytes(allowed_answers.limit() + 1)
    async with scripted_store(tmp_path, dict.fromkeys((GET, SET), huge)) as (component, store):
        error = await error_of(store.get(Get("k")))
        assert isinstance(error, StoreUnavailableError) and "sent an answer of more than 32 MiB" in str(error)
        assert isinstance(await error_of(store.set(Set("k", b"1"))), OutcomeUnknownError)
        component.answers |= {GET: VALUE, BULK_GET: huge}
        assert all(isinstance(each, StoreError) for each in await store.bulk_get([Get("a"), Get("b")]))


async def test_a_value_that_the_component_takes_no_longer(tmp_path: Path) -> None:
    """grpcio's servers take 4 MiB, unless they are told otherwise."""
    async with scripted_store(tmp_path, {SET: b""}) as (_, store):
        error = await error_of(store.set(Set("k", bytes(5 << 20))))
        assert isinstance(error, StoreRefusedError) and "takes no message of this size" in str(error)


async def test_a_component_that_ends_in_the_middle_of_a_call(tmp_path: Path) -> None:
    async with scripted_store(tmp_path) as (component, store):
        arrived = threading.Event()

        def note(body: bytes, context: Any) -> bytes:
            arrived.set()
            return component.be_silent(body, context)

        component.answers |= {SET: note, GET: note}
        for call, kind in ((store.set(Set("k", b"1")), OutcomeUnknownError), (store.get(Get("k")), StoreError)):
            arrived.clear()
            task = asyncio.create_task(call)
            await asyncio.to_thread(arrived.wait)
            await asyncio.to_thread(component.stop)
            assert isinstance(await error_of(task), kind)
            component.start()


async def test_another_process_gets_the_settings_before_any_call(tmp_path: Path) -> None:
    async with scripted_store(tmp_path, {GET: VALUE}, colour="red") as (component, store):
        for _ in range(3):
            component.stop()
            component.asked.clear()
            error = await error_of(store.get(Get("k")))
            assert isinstance(error, StoreUnavailableError)
            component.start()
            assert await asyncio.gather(*(store.get(Get("k")) for _ in range(5))) == [StoredValue(b"1", "7")] * 5
            calls = [path for path in component.paths if path in (INIT, GET)]
            assert calls == [INIT, *[GET] * 5]


@contextmanager
def speaking(folder: Path, said: bytes) -> Iterator[ScriptedComponent]:
    """Listen like a component, say something to each client, and close the connection."""
    component = ScriptedComponent(folder / "sockets")
    component.folder.mkdir()
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(component.folder / "scripted.sock"))
        listener.listen()

        def speak() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with closing(client):
                    client.sendall(said)

        thread = threading.Thread(target=speak)
        thread.start()
        try:
            yield component
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


async def test_a_socket_that_speaks_something_else(tmp_path: Path) -> None:
    with speaking(tmp_path, b"HTTP/1.1 400 a secret\r\n\r\n") as component:
        error = await refusal_of(PluggableStore, component.settings(5.0))
    assert isinstance(error, StoreUnavailableError) and "secret" not in str(error)


async def test_sockets_that_are_missing_dead_or_several(tmp_path: Path, subtests: pytest.Subtests) -> None:
    def settings(folder: Path) -> Any:
        return chosen("state.scripted", "statestore", folder, 5.0)

    def bound(path: Path) -> None:
        path.parent.mkdir(exist_ok=True, parents=True)
        with closing(socket.socket(socket.AF_UNIX)) as dead:
            dead.bind(str(path))

    bound(tmp_path / "dead" / "scripted.sock")
    for name in ("scripted.sock", "Scripted.socket"):
        bound(tmp_path / "two" / name)
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "scripted.sock").write_text("no socket")
    for folder, kind, words in (
        ("missing", StoreUnavailableError, "has no socket in"),
        ("file", StoreUnavailableError, "has no socket in"),
        ("dead", StoreUnavailableError, "takes no connection on its socket"),
        ("two", StoreRefusedError, "has several sockets (Scripted.socket, scripted.sock); remove all but one"),
    ):
        with subtests.test(folder):
            error = await refusal_of(PluggableStore, settings(tmp_path / folder))
            assert isinstance(error, kind) and words in str(error)


async def test_a_component_that_appears_later_is_found(tmp_path: Path) -> None:
    component = ScriptedComponent(tmp_path / "sockets", {GET: VALUE})
    async with nothing_left():
        store = component.store()
        assert isinstance(await error_of(store.open()), StoreUnavailableError)
        component.start()
        try:
            async with opened(component.store()) as later:
                assert await later.get(Get("k")) == StoredValue(b"1", "7")
        finally:
            component.stop()


async def test_a_socket_that_this_user_may_not_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run as root, who may do everything, so the answer of the system is replaced."""
    monkeypatch.setattr("os.access", lambda path, mode: not str(path).endswith("scripted.sock"))
    with speaking(tmp_path, b"") as component:
        error = await refusal_of(PluggableStore, component.settings(5.0))
    assert isinstance(error, StoreUnavailableError)
    assert "does not let this user connect; give its socket the mode 0777" in str(error)
