"""Credential providers of redis-py, as users write them. What they give is on `DESK`, which tests set."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis.auth.token import SimpleToken
from redis.credentials import CredentialProvider, StreamingCredentialProvider

MODULE = "servers.credential_providers"


@dataclass
class Desk:
    """What providers give, and what they were asked."""

    answer: Any = ()
    """What `get_credentials` returns; a class of exceptions is raised, with `words`."""
    words: str = "s3cret"
    asked: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)
    threads: set[str] = field(default_factory=set)
    hangs: threading.Event | None = None
    """While it is not set, `get_credentials` does not return."""
    on_next: Callable[[Any], Any] | None = None
    on_error: Callable[[Any], Any] | None = None

    def ask(self) -> Any:
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        if self.hangs is not None:
            self.hangs.wait()
        if isinstance(self.answer, type) and issubclass(self.answer, BaseException):
            raise self.answer(self.words)
        return self.answer

    def push(self, user: str | None, password: object, life_s: float) -> None:
        """Call back with a token, from a thread of the provider's own."""
        now = time.time() * 1000
        expires_at = -1 if life_s == -1 else now + life_s * 1000
        token = SimpleToken(password, expires_at, now, {} if user is None else {"oid": user})  # type: ignore[arg-type]
        assert self.on_next is not None
        pushing = threading.Thread(target=self.on_next, args=(token,))
        pushing.start()
        pushing.join()


DESK = Desk()


def clear_desk() -> Desk:
    DESK.__init__()  # type: ignore[misc]
    return DESK


class Blocking(CredentialProvider):
    def __init__(self, **arguments: object):
        DESK.arguments = arguments

    def get_credentials(self) -> Any:
        return DESK.ask()


class WithCoroutine(CredentialProvider):
    async def get_credentials_async(self) -> Any:
        await asyncio.sleep(0)
        return DESK.ask()


class Streaming(StreamingCredentialProvider):
    def get_credentials(self) -> Any:
        return DESK.ask()

    def on_next(self, callback: Callable[[Any], None]) -> None:
        DESK.on_next = callback

    def on_error(self, callback: Callable[[Exception], None]) -> None:
        DESK.on_error = callback

    def is_streaming(self) -> bool:
        return True


class Nothing:
    """Is no credential provider."""


class Strict(CredentialProvider):
    def __init__(self, role: str):
        DESK.arguments = {"role": role}


class Untamed(CredentialProvider):
    """Does what nobody should do on the event loop on which it is asked."""

    async def get_credentials_async(self) -> Any:
        loop = asyncio.get_running_loop()
        loop.call_soon(_exits)
        loop.call_soon(_fails)
        loop.call_soon(loop.stop)
        return DESK.ask()


def _exits() -> None:
    raise SystemExit("s3cret")


def _fails() -> None:
    raise ValueError("s3cret")


class Loud(Streaming):
    """Says `words` in every other way too: calls back with them, and leaves exceptions behind."""

    def get_credentials(self) -> Any:
        loop = asyncio.get_running_loop()
        loop.call_soon(_shout)
        loop.create_task(_shout_later())  # nobody takes its exception
        assert DESK.on_next is not None and DESK.on_error is not None
        DESK.on_next(DESK.words)
        DESK.on_error(ValueError(DESK.words))
        return DESK.ask()


def _shout() -> None:
    raise RuntimeError(DESK.words)


async def _shout_later() -> None:
    raise RuntimeError(DESK.words)


NUMBER = 7
