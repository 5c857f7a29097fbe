"""A token is renewed before it ends, served while no new one can be had, and fetched by one caller for all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from unit.tables import each_row

from pannier_crds.secret import Secret
from pannier_sidecar.clouds.renewal import RenewedToken, Token, is_token
from pannier_sidecar.state.errors import StoreUnavailableError


class Clock:
    """The loop's clock, which a test moves on."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._real = loop.time
        self.ahead = 0.0
        loop.time = lambda: self._real() + self.ahead  # type: ignore[method-assign]


class Issuer:
    """Issues tokens that live an hour, or as long as it is told."""

    def __init__(self) -> None:
        self.issued = 0
        self.life = 3600.0
        self.failure: Exception | None = None
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def fetch(self) -> Token:
        self.issued += 1
        mine = self.issued
        await self.goes_on.wait()
        if self.failure is not None:
            raise self.failure
        return Token(Secret(f"token-{mine}"), self.life)


@pytest.fixture
async def clock() -> Clock:
    return Clock(asyncio.get_running_loop())


@pytest.fixture
async def issuer(clock: Clock) -> Issuer:
    return Issuer()


async def text(get: Callable[[], Awaitable[Token | None]]) -> str:
    token = await get()
    assert token is not None
    return token.text.reveal()


async def some_turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_fetch_serves_all_who_wait(issuer: Issuer) -> None:
    tokens = RenewedToken(issuer.fetch)
    issuer.goes_on.clear()
    waiting = [asyncio.create_task(tokens.get()) for _ in range(100)]
    await some_turns()
    waiting[0].cancel()  # who gives up does not end it for the others
    issuer.goes_on.set()
    found = await asyncio.gather(*waiting[1:])
    assert {each.text.reveal() for each in found} == {"token-1"}
    assert issuer.issued == 1


async def test_it_is_renewed_in_the_background_before_it_ends(clock: Clock, issuer: Issuer) -> None:
    tokens = RenewedToken(issuer.fetch)
    assert await text(tokens.get) == "token-1"
    clock.ahead += 3000  # ten minutes are left
    assert await text(tokens.get) == "token-1"
    clock.ahead += 480  # two minutes are left
    issuer.goes_on.clear()
    assert await text(tokens.get) == "token-1"  # nobody waits for the server of tokens
    issuer.goes_on.set()
    await some_turns()
    assert await text(tokens.get) == "token-2"
    assert issuer.issued == 2


async def test_while_it_lives_it_is_served_without_the_server_of_tokens(clock: Clock, issuer: Issuer) -> None:
    tokens = RenewedToken(issuer.fetch)
    await tokens.get()
    issuer.failure = StoreUnavailableError("down")
    for _ in range(9):
        clock.ahead += 390  # 58.5 minutes at the end
        assert await text(tokens.get) == "token-1"
        await some_turns()
    asked = issuer.issued
    for _ in range(50):
        assert await text(tokens.get) == "token-1"
        await some_turns()
    assert issuer.issued == asked  # a server that fails is asked again only after a pause
    clock.ahead += 80
    with pytest.raises(StoreUnavailableError, match="down"):
        await tokens.get()
    asked = issuer.issued
    for _ in range(50):
        with pytest.raises(StoreUnavailableError, match="down"):
            await tokens.get()
    assert issuer.issued <= asked + 1
    issuer.failure = None
    clock.ahead += 60
    assert await text(tokens.get) != "token-1"


async def test_a_token_near_its_end_is_not_used_any_more(clock: Clock, issuer: Issuer) -> None:
    tokens = RenewedToken(issuer.fetch)
    await tokens.get()
    clock.ahead += 3580
    assert await text(tokens.get) == "token-2"


@each_row("life", [1.0, 0.0, -5.0])
async def test_very_short_lives_are_no_burden_and_no_end(clock: Clock, life: float) -> None:
    issuer = Issuer()
    issuer.life = life
    tokens = RenewedToken(issuer.fetch)
    assert await text(tokens.get) == "token-1"
    clock.ahead += 1
    assert await text(tokens.get) == "token-2"
    keeping = asyncio.create_task(tokens.keep())
    await some_turns()
    assert issuer.issued == 2  # at most one a second
    keeping.cancel()


async def test_a_life_without_end_ends_after_a_day(clock: Clock, issuer: Issuer) -> None:
    issuer.life = 1e18
    tokens = RenewedToken(issuer.fetch)
    await tokens.get()
    clock.ahead += 86_400
    assert await text(tokens.get) == "token-2"


async def test_a_refused_token_is_replaced_at_once_and_once(clock: Clock, issuer: Issuer) -> None:
    tokens = RenewedToken(issuer.fetch)
    refused = await tokens.get()
    several = await asyncio.gather(*(tokens.replace(refused) for _ in range(100)))
    assert {each.text.reveal() for each in several if each is not None} == {"token-2"}
    assert issuer.issued == 2
    again = await tokens.get()
    assert await tokens.replace(again) is None
    assert issuer.issued == 2
    clock.ahead += 11
    assert await text(lambda: tokens.replace(again)) == "token-3"


async def test_users_who_do_not_ask_are_given_each_new_token(clock: Clock, issuer: Issuer) -> None:
    tokens = RenewedToken(issuer.fetch)
    given: list[str] = []
    tokens.on_token = lambda token: given.append(token.text.reveal())
    await tokens.get()
    keeping = asyncio.create_task(tokens.keep())
    await some_turns()
    clock.ahead += 3500
    async with asyncio.timeout(30):
        while len(given) < 2:
            await asyncio.sleep(0.01)
    keeping.cancel()
    assert given == ["token-1", "token-2"]


async def test_an_attempt_under_way_ends_with_its_users(issuer: Issuer) -> None:
    tokens = RenewedToken(issuer.fetch)
    issuer.goes_on.clear()
    waiting = asyncio.create_task(tokens.get())
    await some_turns()
    await tokens.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_neither_a_token_nor_its_failures_show_it(issuer: Issuer) -> None:
    assert "s3cret" not in repr(Token(Secret("s3cret"), 1.0))


@each_row(
    ["given", "is_one"],
    [("abc.def-_=", True), ("", False), ("a b", False), ("a\0b", False), ("\u00fc", False), ("x" * 65_537, False)],
)
def test_what_may_be_a_token(given: str, is_one: bool) -> None:
    assert is_token(given) is is_one
