"""A deferred module is loaded when any code first uses it, and is then the module itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGINNING = """
from pannier_sidecar import deferred_modules
deferred_modules.defer()
import asyncio, functools, sys, uvloop
def is_loaded(name):
    return name in sys.modules and not isinstance(sys.modules[name], deferred_modules.Deferred)
"""
USES = {
    "errors of TLS are those that uvloop catches": """
        import ssl
        context = ssl.create_default_context()
        assert isinstance(context, ssl.SSLContext) and is_loaded("ssl")
        try:
            context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="x").do_handshake()
        except deferred_modules._CAUGHT["SSLWantReadError"] as error:
            assert type(error) is ssl.SSLWantReadError and isinstance(error, ssl.SSLError)
        """,
    "a library that imports TLS by name": """
        from ssl import SSLError, SSLZeroReturnError
        assert issubclass(SSLZeroReturnError, SSLError) and is_loaded("ssl")
        """,
    "TLS of asyncio's own loop": """
        from asyncio.sslproto import SSLAgainErrors
        import ssl
        assert SSLAgainErrors == (ssl.SSLWantReadError, ssl.SSLSyscallError)
        """,
    "processes": """
        async def main():
            shell = await asyncio.create_subprocess_shell("echo a; exit 3", stdout=asyncio.subprocess.PIPE)
            assert (await shell.communicate(), shell.returncode) == ((b"a\\n", None), 3)
        uvloop.run(main())
        import subprocess
        assert subprocess.run(["true"]).returncode == 0 and issubclass(subprocess.SubprocessError, Exception)
        """,
    "the loop's debug mode": """
        async def main():
            asyncio.get_running_loop().set_debug(True)
            future = asyncio.get_running_loop().create_future()
            assert future._source_traceback[-1].name == "main"
            asyncio.get_running_loop().call_soon(print)
        uvloop.run(main())
        """,
    "inspect": """
        async def coroutine(): pass
        class Callable:
            async def method(self): pass
            async def __call__(self): pass
        marked = functools.wraps(coroutine)(lambda: None)
        short = sys.modules["inspect"].iscoroutinefunction, sys.modules["inspect"].unwrap
        whats = (coroutine, len, Callable, Callable(), Callable().method, functools.partial(coroutine), marked)
        answers = [(short[0](what), short[1](what)) for what in whats]
        import inspect
        assert inspect.signature(coroutine) is not None and is_loaded("inspect")
        assert answers == [(inspect.iscoroutinefunction(what), inspect.unwrap(what)) for what in whats]
        """,
    "numbers and identifiers": """
        import decimal, uuid
        assert str(decimal.Decimal("1.50")) == "1.50" and is_loaded("decimal")
        assert uuid.UUID(int=1).int == 1 and is_loaded("uuid")
        """,
    "two threads at once": """
        from concurrent.futures import ThreadPoolExecutor
        import ssl
        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(lambda _: ssl.SSLContext, range(64)))) == 1
        """,
    "annotations": """
        import msgspec, typing_extensions
        assert typing_extensions.TypedDict is not None and is_loaded("typing_extensions")
        """,
}


@pytest.mark.parametrize("use", USES)
def test_a_module_that_is_loaded_late_works_when_it_is_used(use: str) -> None:
    lines = [line[8:] for line in USES[use].splitlines()]
    ended = subprocess.run([sys.executable, "-c", "\n".join([BEGINNING, *lines])], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
