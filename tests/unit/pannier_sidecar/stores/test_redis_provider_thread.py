"""A credential provider runs in a thread of its own: what it blocks, raises or answers does no harm to the sidecar."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from servers.credential_providers import MODULE, Desk, clear_desk
from unit.tables import each_row

from pannier_crds.secret import Secret
from pannier_sidecar.clouds.renewal import Token
from pannier_sidecar.state.errors import StoreError, StoreUnavailableError
from pannier_sidecar.stores.redis.provided import ProvidedTokens
from pannier_sidecar.stores.redis.provider_thread import ProviderThread

PATIENCE = 30.0


@pytest.fixture
def desk() -> Iterator[Desk]:
    found = clear_desk()
    yield found
    if found.hangs is not None:
        found.hangs.set()


@asynccontextmanager
async def running(name: str, arguments: str = "", seconds: float = PATIENCE) -> AsyncIterator[ProviderThread]:
    thread = ProviderThread(name if ":" in name else f"{MODULE}:{name}", Secret(arguments), seconds)
    try:
        yield thread
    finally:
        await thread.close()


def threads(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if name in thread.name]


async def error_of(thread: ProviderThread) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await thread.ask()
    assert "s3cret" not in str(caught.value)
    return caught.value


@each_row(
    ["name", "answer", "user"],
    [
        ("Blocking", ("shop", "s3cret"), "shop"),
        ("Blocking", ("s3cret",), ""),
        ("Blocking", ["shop", "s3cret"], "shop"),
        ("WithCoroutine", ("shop", "s3cret"), "shop"),
        ("Streaming", ("shop", "s3cret"), "shop"),
        ("Untamed", ("shop", "s3cret"), "shop"),
    ],
)
async def test_what_it_gives_signs_in(name: str, answer: object, user: str) -> None:
    clear_desk().answer = answer
    async with running(name) as thread:
        for _ in range(3):
            token = await thread.ask()
            assert (token.user, token.text.reveal()) == (user, "s3cret")
            assert "s3cret" not in repr(token)
    for left in threads(f"{MODULE}:{name}"):
        left.join(PATIENCE)
        assert not left.is_alive()


@each_row(
    "answer",
    [None, "s3cret", (), ("a", "b", "s3cret"), ("", "s3cret"), (None, "s3cret"), ("shop", ""), ("shop", b"s3cret"),
     ("shop", "s3cret\ud800"), ("s3cret" * 20_000,), {"s3cret": 1}],
)  # fmt: skip
async def test_other_answers_are_refused_without_being_shown(answer: object) -> None:
    clear_desk().answer = answer
    async with running("Blocking") as thread:
        assert str(await error_of(thread)) == (
            f"{MODULE}:Blocking gave something else than a password, or a user and a password; return a tuple of one "
            "or two texts, none empty"
        )


@each_row("raised", [ValueError, SystemExit, KeyboardInterrupt, asyncio.CancelledError, StopIteration, GeneratorExit])
async def test_what_it_raises_is_reported_by_its_type(raised: type[BaseException]) -> None:
    for name in ("Blocking", "WithCoroutine"):
        desk = clear_desk()
        desk.answer = raised
        async with running(name) as thread:
            found = await error_of(thread)
            assert type(found) is StoreUnavailableError
            assert f"{MODULE}:{name} gave no credentials: it raised " in str(found)
            desk.answer = ("shop", "p")
            assert (await thread.ask()).user == "shop"


@each_row(
    ["name", "arguments", "words"],
    [
        ("no_such.module:Class", "", "the sidecar's Python has no no_such; install it there, or put its folder into"),
        (f"{MODULE}:Missing", "", "names nothing that can be called; correct its name"),
        (f"{MODULE}:NUMBER", "", "names nothing that can be called"),
        (f"{MODULE}:Nothing", "", "gives no credential provider of redis-py: it has no method get_credentials"),
        (f"{MODULE}:Strict", "", "cannot be called so: it raised TypeError; check credentialProviderArguments"),
        (f"{MODULE}:Strict", '{"rule": "s3cret"}', "check credentialProviderArguments"),
        (f"{MODULE}:Strict", '{"role": "s3cret"}', "gave no credentials: it raised NotImplementedError"),
    ],
)  # fmt: skip
async def test_a_class_that_cannot_be_used_is_named_with_advice(name: str, arguments: str, words: str) -> None:
    clear_desk()
    async with running(name, arguments) as thread:
        assert words in str(await error_of(thread))


async def test_what_it_blocks_is_not_the_event_loop_and_threads_that_hang_are_bounded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pannier_sidecar.stores.redis.provider_thread._CLOSING_S", 0.05)
    desk.hangs = threading.Event()
    for _ in range(4):
        async with running("Blocking", seconds=0.05) as thread:
            for _ in range(3):
                assert "gave no credentials within 0.05 s (dialTimeout)" in str(await error_of(thread))
    assert desk.asked == 4  # those who ask again wait for the same call
    with pytest.raises(StoreUnavailableError, match="4 calls of servers.credential_providers:Blocking hang"):
        ProviderThread(f"{MODULE}:Blocking", Secret(""), 0.05)
    desk.hangs.set()
    async with asyncio.timeout(PATIENCE):
        while threads(f"{MODULE}:Blocking"):
            await asyncio.sleep(0.01)
    desk.answer = ("p",)
    async with running("Blocking") as thread:
        assert (await thread.ask()).text.reveal() == "p"


async def test_a_closed_provider_is_not_asked(desk: Desk) -> None:
    async with running("Blocking") as thread:
        pass
    assert "its event loop is closed" in str(await error_of(thread))


async def test_many_tokens_at_once_are_used_one_at_a_time(desk: Desk) -> None:
    desk.answer = ("shop", "p")
    async with running("Streaming") as thread:
        tokens = ProvidedTokens(thread, 60.0, PATIENCE)
        given: list[Token] = []
        await tokens.get()
        tokens.on_token = given.append
        for number in range(2000):
            desk.push("shop" if number % 2 else None, f"p-{number}", 3600)
        async with asyncio.timeout(PATIENCE):
            while not given or given[-1].text.reveal() != "p-1999":
                await asyncio.sleep(0.01)
        assert len(given) < 100
        assert {token.user for token in given} == {"shop"}
        asked = desk.asked
        assert (await tokens.get()).text.reveal() == "p-1999"
        assert desk.asked == asked
        desk.push("shop", "last", 3600)
        await tokens.close()
    desk.push("shop", "after the end", 3600)
    await asyncio.sleep(0)
    assert given[-1].text.reveal() in ("p-1999", "last")


@each_row("life", [0, -7, float("nan")])
async def test_a_token_that_has_ended_is_not_used(life: float, caplog: pytest.LogCaptureFixture) -> None:
    desk = clear_desk()
    desk.answer = ("shop", "p")
    caplog.clear()
    async with running("Streaming") as thread:
        tokens = ProvidedTokens(thread, 60.0, PATIENCE)
        await tokens.get()
        for password, seconds in (("s3cret", life), (None, 60), ("", 60)):
            desk.push("shop", password, seconds)
        assert desk.on_next is not None and desk.on_error is not None
        desk.on_next("s3cret")
        desk.on_error(ValueError("s3cret"))
        await asyncio.sleep(0.05)
        assert tokens.current is not None and tokens.current.text.reveal() == "p"
        await tokens.close()
    assert caplog.messages == [
        f"{MODULE}:Streaming called back with a token that has ended, or with none; it is not used",
        f"{MODULE}:Streaming could not renew its token: ValueError; it is asked again",
    ]


async def test_what_it_calls_back_with_may_be_awaited(desk: Desk) -> None:
    desk.answer = ("shop", "p")
    async with running("Streaming") as thread:
        await thread.ask()
        assert desk.on_next is not None and desk.on_error is not None
        await desk.on_next(None)
        await desk.on_error(ValueError())
