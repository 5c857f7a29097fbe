"""Reading every secret of a store on another machine, within limits of time, number and size."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from pannier_sidecar.network import answers
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError, SecretStoreSilentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    Texts = Mapping[str, str]

MAX_SECRETS: Final = 1000
"""Secrets that are read at once."""
MAX_PAGES: Final = 200
"""Pages, or folders, of a list of secrets: a broken server may send empty ones for ever."""
MAX_SECONDS: Final = 30.0
"""Seconds that reading all secrets may take."""
_AT_ONCE: Final = 4


async def read_all(
    names: Callable[[], Awaitable[Sequence[str]]], read: Callable[[str], Awaitable[Texts]], where: str
) -> dict[str, Texts]:
    """Return every secret by its name: first the names are listed, then each is read.

    One that `read` misses, because it was deleted meanwhile, is left out. Raises what both raise, and
    SecretStoreFailedError for too many or too large secrets. `where` is the store, for messages.
    """
    async with within_time(where):
        return await _read_each(await names(), read)


@asynccontextmanager
async def within_time(where: str) -> AsyncIterator[None]:
    """Limit the time of reading all secrets. Raises SecretStoreSilentError."""
    try:
        async with asyncio.timeout(MAX_SECONDS):
            yield
    except TimeoutError:
        raise SecretStoreSilentError(f"{where} took over {MAX_SECONDS:g} s; read secrets one by one") from None


def check_number(secrets: int, pages: int) -> None:
    """Raise SecretStoreFailedError if a list has too many secrets or pages."""
    if secrets > MAX_SECRETS or pages > MAX_PAGES:
        raise SecretStoreFailedError(
            f"there are over {MAX_SECRETS} secrets or {MAX_PAGES} pages of them; read secrets one by one"
        )


def check_size(found: Mapping[str, Texts]) -> None:
    """Raise SecretStoreFailedError if secrets are too large for one answer."""
    size = sum(len(key) + len(text) for texts in found.values() for key, text in texts.items())
    if size > answers.limit():
        raise SecretStoreFailedError("all secrets together are too large for one answer; read them one by one")


async def _read_each(names: Sequence[str], read: Callable[[str], Awaitable[Texts]]) -> dict[str, Texts]:
    async def or_none(name: str) -> Texts | None:
        try:
            return await read(name)
        except SecretMissingError:
            return None

    found: dict[str, Texts] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        answered = zip(some, await asyncio.gather(*map(or_none, some)), strict=True)
        found.update({name: texts for name, texts in answered if texts is not None})
        check_size(found)
    return found
