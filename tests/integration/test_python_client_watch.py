"""`pannier.client` watches keys through a real sidecar: first the state, then what changes, over cuts and restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest
from servers.free_ports import free_port
from servers.pannier_process import Pannier
from servers.threaded_proxy import ThreadedProxy

from pannier.client import AsyncClient, Client, Event, PannierError, RefusedError, UnreachableError

Serve = Callable[[], Pannier]


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def serve(port: int, tmp_path: Path) -> Iterator[Serve]:
    """Run a sidecar on the port; again after it has ended."""
    running: list[Pannier] = []

    def start() -> Pannier:
        place = {"XDG_DATA_HOME": str(tmp_path)}
        running.append(Pannier("run", "--http-port", port, "--grpc-port", "0", environment=place))
        running[-1].port()
        return running[-1]

    yield start
    for pannier in running:
        pannier.close()


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def following(events: Iterator[Event]) -> Event:
    """Return the next event that is no beat."""
    return next(event for event in events if event.kind != "beat")


async def following_of(events: AsyncIterator[Event]) -> Event:
    while (event := await anext(events)).kind == "beat":
        continue
    return event


def test_the_state_comes_first_and_then_what_changes(serve: Serve, port: int) -> None:
    serve()
    with Client(url=url(port)) as client:
        client.save("w/a", 1)
        client.save("w/b", {"text": "\u2028\u00fc\n"}, ttl=1000)
        client.save("other", 3)
        with closing(client.watch("w/", values=True)) as events:
            first = [following(events) for _ in range(3)]
            assert {(event.kind, event.key) for event in first[:2]} == {("state", "w/a"), ("state", "w/b")}
            found = {event.key: event for event in first[:2]}
            assert (found["w/a"].value, found["w/b"].value) == (1, {"text": "\u2028\u00fc\n"})
            assert found["w/a"].expires_at is None and found["w/b"].expires_at is not None
            assert first[2].kind == "ready"
            client.save("other", 4)
            client.save("w/a", [5])
            changed = following(events)
            item = client.get("w/a")
            assert item is not None
            assert (changed.kind, changed.key, changed.value, changed.etag) == ("change", "w/a", [5], item.etag)
            client.delete("w/b")
            deleted = following(events)
            assert (deleted.kind, deleted.key) == ("delete", "w/b")
        client.save("w/c", 6)
        with closing(client.watch("w/", since=deleted.id)) as events:
            again = [following(events) for _ in range(2)]
            assert {event.kind for event in again} == {"ready", "change"}  # and no state
            assert {event.key for event in again} == {"", "w/c"}
            assert {event.value for event in again} == {None}


def test_it_goes_on_where_it_was_after_a_cut(serve: Serve, port: int) -> None:
    serve()
    with ThreadedProxy(port) as proxy, Client(url=url(port)) as near, Client(url=url(proxy.port)) as client:
        with closing(client.watch("w/", values=True)) as events:
            assert following(events).kind == "ready"
            for number in range(3):
                proxy.go_away("refused")
                near.save("w/a", number)
                proxy.come_back()
                seen = following(events)
                while seen.kind == "ready":  # it may be said again
                    seen = following(events)
                assert (seen.kind, seen.key, seen.value) == ("change", "w/a", number)


def test_after_a_restart_of_the_sidecar_it_says_what_there_is(serve: Serve, port: int) -> None:
    first = serve()
    with Client(url=url(port)) as client:
        client.save("w/a", 1)
        with closing(client.watch("w/", values=True)) as events:
            assert [following(events).kind for _ in range(2)] == ["state", "ready"]
            first.process.terminate()
            first.end()
            serve()
            client.save("w/b", 2)
            kinds: list[str] = []
            seen: dict[str, object] = {}
            while kinds[-1:] != ["ready"]:
                event = following(events)
                kinds.append(event.kind)
                if event.key:
                    seen[event.key] = event.value
            assert kinds[0] == "reset"
            assert seen == {"w/a": 1, "w/b": 2}


async def test_a_task_watches_alike(serve: Serve, port: int) -> None:
    serve()
    with ThreadedProxy(port) as proxy:
        async with AsyncClient(url=url(proxy.port)) as client, AsyncClient(url=url(port)) as near:
            async with aclosing(client.watch(values=True)) as events:
                assert (await following_of(events)).kind == "ready"
                await client.save("a", "x")
                assert (await following_of(events)).value == "x"
                proxy.go_away("refused")
                await near.delete("a")
                proxy.come_back()
                seen = await following_of(events)
                while seen.kind == "ready":
                    seen = await following_of(events)
                assert (seen.kind, seen.key) == ("delete", "a")


def test_a_watch_that_cannot_begin_says_why(serve: Serve, port: int) -> None:
    def error_of(client: Client, since: str = "") -> PannierError:
        with client, pytest.raises(PannierError) as failed:
            next(client.watch(since=since))
        return failed.value

    assert isinstance(error_of(Client(url=url(port))), UnreachableError)
    serve()
    found = error_of(Client("no-such-store", url=url(port)))
    assert isinstance(found, RefusedError) and found.error_code == "ERR_STATE_STORE_NOT_FOUND"
    found = error_of(Client(url=url(port)), since="no id")
    assert found.status == 400
