"""The client that blocks and the one for asyncio have the same methods, with the same arguments and words."""

import inspect
import re

from pannier.client import AsyncClient, AsyncLock, Client, Lock


def methods(kind: type) -> dict[str, tuple[str, str]]:
    """Return the public methods of a class: their arguments and docstrings."""
    found = {name: each for name, each in vars(kind).items() if callable(each) and not name.startswith("_")}
    return {name: (plain(str(inspect.signature(each))), plain(each.__doc__ or "")) for name, each in found.items()}


def plain(words: str) -> str:
    return re.sub(r"Async| in `async with`|(?<=Event, None), None", "", words)


def test_the_clients_are_alike() -> None:
    assert methods(Client) == methods(AsyncClient)
    assert {"get", "save", "watch", "lock"} <= methods(Client).keys()


def test_the_locks_are_alike() -> None:
    assert methods(Lock) == methods(AsyncLock)
