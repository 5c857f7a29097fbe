"""Runs a credential provider of redis-py, which is a user's code, in a thread with an event loop of its own.

So the import of its module, its class and its methods, some of which are coroutines in name only, may block: the
sidecar goes on. When the store is closed, the loop ends, and with it all that the provider has scheduled there.

The provider's exceptions are reported by their type, because their words may contain a password.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from contextlib import suppress
from importlib import import_module
from math import inf
from typing import TYPE_CHECKING, Any, Final

from pannier_crds.credential_providers import arguments as read_arguments
from pannier_crds.secret import Secret
from pannier_sidecar.clouds.renewal import Token
from pannier_sidecar.state.errors import StoreError, StoreRefusedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

_MAX_TEXT: Final = 64 * 1024
"""Characters of a user or a password."""
_MAX_HANGING: Final = 4
"""Threads of one provider that were left to themselves, because it blocks them; then it gets no further one."""
_CLOSING_S: Final = 1.0
"""Seconds for which closing waits for the provider's thread; one that hangs is left to itself."""


class ProviderThread:
    """One credential provider."""

    def __init__(self, name: str, arguments: Secret, seconds: float):
        """Start the thread, but nothing of the provider: `name` is its `module:Class`, `arguments` a JSON object.

        A call of it takes at most that many `seconds`. Raises StoreUnavailableError if too many calls of it hang.
        """
        self.on_token: Callable[[Token], object] = _ignore
        """Called in the caller's event loop with what a streaming provider calls back with."""
        self._name = name
        self._arguments = arguments
        self._seconds = seconds
        self._provider: Any = None
        self._call: asyncio.Future[Token] | None = None
        self._next: Token | None = None
        """What the provider has called back with, and the caller's loop has not taken yet."""
        self._lock = threading.Lock()
        self._warned = ""
        self._main = asyncio.get_running_loop()
        self._has_ended = asyncio.Event()
        self._is_closed = False
        self._hanging = f"hanging {name}"
        if sum(thread.name == self._hanging for thread in threading.enumerate()) >= _MAX_HANGING:
            raise StoreUnavailableError(f"{_MAX_HANGING} calls of {name} hang; it is called again when one has ended")
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._warn_of_stray)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def ask(self) -> Token:
        """Return the credentials that the provider gives now; their life is not known (infinite). Raises a StoreError.

        If it is late, this ends, but not the provider's call: the next caller waits for the same one.
        """
        if self._is_closed or self._loop.is_closed():
            raise StoreUnavailableError(f"{self._name} is not asked any more: its event loop is closed")
        if self._call is None or self._call.done():
            self._call = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._ask(), self._loop))
            self._call.add_done_callback(_drop_answer)
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.shield(self._call)
        except TimeoutError as error:
            late = f"{self._name} gave no credentials within {self._seconds:g} s (dialTimeout)"
            raise StoreUnavailableError(late) from error

    async def close(self) -> None:
        """End the thread, or leave it alone if the provider blocks it."""
        self._is_closed = True
        with suppress(RuntimeError):  # the provider has closed it
            self._loop.call_soon_threadsafe(self._loop.stop)
        try:
            async with asyncio.timeout(_CLOSING_S):
                await self._has_ended.wait()
        except TimeoutError:
            self._thread.name = self._hanging

    # --- in the provider's thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._is_closed and not self._loop.is_closed():  # the provider may stop it
            try:
                self._loop.run_forever()
            except BaseException as error:
                self._warn(f"raised {type(error).__name__} outside a call")
        with suppress(BaseException):
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(tasks, timeout=_CLOSING_S / 2) if tasks else asyncio.sleep(0))
        with suppress(BaseException):
            self._loop.close()
        self._in_caller(self._has_ended.set)

    async def _ask(self) -> Token:
        try:
            if self._provider is None:
                self._provider = self._made()
            if _is_async(self._provider):
                answer = await self._provider.get_credentials_async()
            else:
                answer = self._provider.get_credentials()
        except StoreError:
            raise
        except BaseException as error:
            raise StoreUnavailableError(f"{self._name} gave no credentials: it raised {type(error).__name__}") from None
        token = _token_of(answer)
        if token is None:
            wrong = "something else than a password, or a user and a password"
            raise StoreRefusedError(f"{self._name} gave {wrong}; return a tuple of one or two texts, none empty")
        return token

    def _made(self) -> Any:
        """Return the provider, which calls back from now on if it is a streaming one. Raises a StoreError."""
        kind, arguments = self._class(), read_arguments(self._arguments.reveal() or "{}")
        try:
            provider = kind(**arguments)
        except TypeError:
            raise StoreRefusedError(
                f"{self._name} cannot be called so: it raised TypeError; check credentialProviderArguments"
            ) from None
        if not callable(getattr(provider, "get_credentials", None)):
            raise StoreRefusedError(
                f"{self._name} gives no credential provider of redis-py: it has no method get_credentials"
            )
        if callable(getattr(provider, "on_next", None)) and callable(getattr(provider, "on_error", None)):
            provider.on_next(self._take)
            provider.on_error(self._take_error)
        return provider

    def _class(self) -> Any:
        module, _, path = self._name.partition(":")
        try:
            found: Any = import_module(module)
        except ModuleNotFoundError as error:
            is_name = error.name is not None and error.name.replace(".", "").isidentifier()
            missing = error.name if is_name else "a module that it needs"
            raise StoreRefusedError(
                f"{self._name} cannot be imported: the sidecar's Python has no {missing}; install it there, or put its "
                "folder into PYTHONPATH (redis and redis_entraid: pip install 'pannier-sidecar[credential-providers]')"
            ) from None
        for part in path.split("."):
            found = getattr(found, part, None)
        if not callable(found):
            raise StoreRefusedError(f"{self._name} names nothing that can be called; correct its name")
        return found

    def _take(self, given: Any) -> _Done:
        """Take the next token. Providers call this from any thread; some await what it returns."""
        try:
            token = _token_from(given)
        except Exception:
            token = None
        if token is None:
            self._warn("called back with a token that has ended, or with none; it is not used")
            return _Done()
        with self._lock:
            is_first, self._next = self._next is None, token
        if is_first:
            self._in_caller(self._hand_over)
        return _Done()

    def _take_error(self, error: object) -> _Done:
        self._warn(f"could not renew its token: {type(error).__name__}; it is asked again")
        return _Done()

    def _in_caller(self, call: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the caller's loop has ended
            self._main.call_soon_threadsafe(call)

    def _warn_of_stray(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an exception that nobody takes without its words."""
        self._warn(f"raised {type(context.get('exception')).__name__} outside a call")

    def _warn(self, what: str) -> None:
        """Log what the provider did, once."""
        if what != self._warned:
            self._warned = what
            log.warning("%s %s", self._name, what)

    # --- in the caller's event loop -----------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        with self._lock:
            token, self._next = self._next, None
        if token is not None and not self._is_closed:
            self.on_token(token)


class _Done:
    """May be awaited, or not."""

    def __await__(self) -> Iterator[None]:
        return iter(())


def _is_async(provider: Any) -> bool:
    """Return whether a provider has a coroutine of its own; redis-py's calls `get_credentials`, and warns of it."""
    own = getattr(type(provider), "get_credentials_async", None)
    redis_py = sys.modules.get("redis.credentials")
    return own is not None and (redis_py is None or own is not redis_py.CredentialProvider.get_credentials_async)


def _token_of(answer: object) -> Token | None:
    """Return what `get_credentials` gave: a password, or a user and a password; None if it is neither."""
    if not isinstance(answer, tuple | list) or not 1 <= len(answer) <= 2:
        return None
    *user, password = answer
    if not all(_may_be_sent(text) for text in answer):
        return None
    return Token(Secret(password), inf, user[0] if user else "")


def _token_from(given: Any) -> Token | None:
    """Return a token of redis-py (`TokenInterface`); None if it has ended or is none."""
    text, user, life_ms = given.get_value(), given.try_get("oid") or "", given.ttl()
    life = inf if life_ms == -1 else life_ms / 1000
    if not _may_be_sent(text) or not (user == "" or _may_be_sent(user)) or not life > 0:
        return None
    return Token(Secret(text), life, user)


def _may_be_sent(text: object) -> bool:
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_TEXT:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _drop_answer(answer: asyncio.Future[Token]) -> None:
    """Let asyncio not report an answer for which nobody waits any more."""
    if not answer.cancelled():
        answer.exception()


def _ignore(_: Token) -> None:
    return
