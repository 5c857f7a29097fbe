"""A deferred module is loaded when any code first uses it, and is then the module itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
    "streams": """
        async def answer(reader, writer):
            writer.write(await reader.read(10))
            writer.close()
        async def main():
            server = await asyncio.start_unix_server(answer, sys.argv[1])
            reader, writer = await asyncio.open_unix_connection(sys.argv[1])
            writer.write(b"a")
            writer.write_eof()
            assert await reader.read() == b"a" and isinstance(reader, asyncio.streams.StreamReader)
            writer.close()
            server.close()
        uvloop.run(main())
        from asyncio import StreamWriter
        assert is_loaded("asyncio.streams") and not is_loaded("asyncio.unix_events")
        """,
    "asyncio's own loop": """
        async def main():
            assert isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop)
            process = await asyncio.create_subprocess_exec("true")
            return await process.wait()
        assert not is_loaded("asyncio.unix_events") and asyncio.run(main()) == 0
        assert asyncio.unix_events.SelectorEventLoop is asyncio.SelectorEventLoop
        assert not hasattr(asyncio, "unknown")
        """,
    "times": """
        import datetime, pickle
        time = datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC)
        assert str(time) == "2026-11-28 00:00:00+00:00" and pickle.loads(pickle.dumps(time)) == time
        assert datetime.datetime.strptime("2026", "%Y").year == 2026 and datetime.MAXYEAR == 9999
        assert issubclass(datetime.timezone, datetime.tzinfo)
        assert is_loaded("datetime") == (sys.version_info >= (3, 12))
        """,
    "small things of large modules": """
        import base64, msgspec, pathlib, urllib.parse
        assert pathlib.Path("/a b").as_uri() == "file:///a%20b" and is_loaded("urllib.parse")
        assert base64.b64encode(b"a") == b"YQ==" and urllib.parse.unquote("%41") == "A"
        assert msgspec.json.schema(int) == {"type": "integer"} and msgspec.json.schema_components([int])[1] == {}
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
def test_a_module_that_is_loaded_late_works_when_it_is_used(use: str, tmp_path: Path) -> None:
    lines = [line[8:] for line in USES[use].splitlines()]
    command = [sys.executable, "-c", "\n".join([BEGINNING, *lines]), str(tmp_path / "socket")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
