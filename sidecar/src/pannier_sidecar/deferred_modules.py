"""Modules that the libraries of every sidecar import, but that a plain one does not use.

A stand-in takes the place of each in `sys.modules`. It has the few names that are given here, and loads the module when
another name is used. docs/decisions/0026-what-a-plain-sidecar-does-not-use-is-not-loaded.md has the reasons.
"""

from __future__ import annotations

import sys
import typing
from importlib import import_module
from importlib.machinery import PathFinder
from types import FunctionType, GeneratorType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TRIED: Final = ((3, 11), (3, 14))
"""Python versions for which the stand-ins are made: at least the first, and below the second."""


class Deferred(ModuleType):
    """Stands in `sys.modules` for a module that is not loaded yet."""

    def __init__(self, name: str, given: Mapping[str, object], on_load: Callable[[ModuleType], None] | None = None):
        """`given` holds the names that do not load the module; `on_load` is called when it is loaded."""
        super().__init__(name)
        self.__spec__ = None if "." in name else PathFinder.find_spec(name)
        self.__dict__.update(given)
        self.__dict__["_on_load"] = on_load

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # the import system asks every module for it
            raise AttributeError(name)
        return getattr(self.load(), name)

    def load(self) -> ModuleType:
        """Load the module, if it is not loaded yet, and return it."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        module = import_module(self.__name__)
        on_load = self.__dict__["_on_load"]
        if on_load is not None:
            on_load(module)
        self.__dict__.update(module.__dict__)
        return module

    def forget(self, names: Mapping[str, object]) -> None:
        """Drop these names, so that the next use of one loads the module."""
        for name in names:
            if self.__dict__.get(name) is names[name]:
                del self.__dict__[name]


class _DeferredPart(Deferred):
    """Stands for a module whose names its package takes over: none of them, until the module is loaded."""

    def __getattr__(self, name: str) -> Any:
        if name != "__all__":
            return super().__getattr__(name)
        package, _, part = self.__name__.rpartition(".")
        setattr(sys.modules[package], part, self)
        return ()


def defer() -> None:
    """Defer the modules, then import the libraries that would load them. Call it before anything imports those."""
    if not _TRIED[0] <= sys.version_info[:2] < _TRIED[1] or sys.implementation.name != "cpython":
        return
    _put_off("asyncio.sslproto", {})
    for name in _PARTS_OF_ASYNCIO:
        sys.modules.setdefault(name, _DeferredPart(name, {}))
    _put_off("base64", {})
    if sys.version_info < (3, 12):  # from there on it is small
        _put_off("datetime", vars(import_module("_datetime")))
    _put_off("inspect", _INSPECT)
    _put_off("ipaddress", {})  # urllib.parse
    _put_off("linecache", {})  # asyncio and traceback
    _put_off("msgspec._json_schema", _JSON_SCHEMA)
    _put_off("msgspec.inspect", {})
    _put_off("msgspec.toml", {})
    _put_off("msgspec.yaml", {})
    _put_off("selectors", {})  # socket and asyncio
    _put_off("textwrap", {})  # msgspec and traceback
    _put_off("urllib.parse", _QUOTE)  # pathlib copies its function
    for_imports = [
        _put_off("decimal", _DECIMAL),
        _put_off("ssl", _SSL, _join),
        _put_off("subprocess", _SUBPROCESS),
        _put_off("traceback", _TRACEBACK),
        _put_off("typing_extensions", _TYPING),
        _put_off("uuid", _UUID),
    ]
    import asyncio

    import msgspec  # noqa: F401

    try:
        import uvloop  # noqa: F401
    except ImportError:
        pass
    for module, given in for_imports:
        module.forget(given)
    asyncio.__dict__["__getattr__"] = _of_asyncio


# What asyncio has for its own loops and not for uvloop's, for streams and for processes; in any of the versions tried.
_PARTS_OF_ASYNCIO: Final[Mapping[str, frozenset[str]]] = {
    "asyncio.streams": frozenset(
        ("StreamReader", "StreamReaderProtocol", "StreamWriter", "open_connection", "open_unix_connection")
        + ("start_server", "start_unix_server")
    ),
    "asyncio.subprocess": frozenset(("create_subprocess_exec", "create_subprocess_shell")),
    "asyncio.unix_events": frozenset(
        ("AbstractChildWatcher", "DefaultEventLoopPolicy", "EventLoop", "FastChildWatcher", "MultiLoopChildWatcher")
        + ("PidfdChildWatcher", "SafeChildWatcher", "SelectorEventLoop", "ThreadedChildWatcher")
    ),
}


def _of_asyncio(name: str) -> Any:
    """Return what asyncio would have taken over from one of its parts."""
    for part, names in _PARTS_OF_ASYNCIO.items():
        if name in names:
            value = getattr(sys.modules[part], name)
            setattr(sys.modules["asyncio"], name, value)
            return value
    raise AttributeError(f"module 'asyncio' has no attribute {name!r}")


def _put_off(
    name: str, given: Mapping[str, object], on_load: Callable[[ModuleType], None] | None = None
) -> tuple[Deferred, Mapping[str, object]]:
    module = Deferred(name, given, on_load)
    if module.__spec__ is not None or "." in name:
        sys.modules.setdefault(name, module)
    return module, given


def _late(name: str, function: str) -> Callable[..., Any]:
    """Return a function that calls one of a module that is loaded then."""

    def call(*given: Any, **more: Any) -> Any:
        return getattr(_loaded(name), function)(*given, **more)

    return call


def _loaded(name: str) -> ModuleType:
    module = sys.modules[name]
    return module.load() if isinstance(module, Deferred) else module


# What asyncio and uvloop use of `inspect` in every process. Arguments that are not plain functions go to the module.
def _is_coroutine_function(what: object) -> bool:
    function = what.__func__ if isinstance(what, MethodType) else what
    if isinstance(function, FunctionType) and not function.__dict__:
        return bool(function.__code__.co_flags & _CO_COROUTINE)
    return bool(_loaded("inspect").iscoroutinefunction(what))


def _unwrap(function: Any, **more: Any) -> Any:
    return _loaded("inspect").unwrap(function, **more) if hasattr(function, "__wrapped__") else function


_CO_COROUTINE: Final = 0x80
_INSPECT: Final = {
    "iscoroutinefunction": _is_coroutine_function,
    "isfunction": lambda what: isinstance(what, FunctionType),
    "isgenerator": lambda what: isinstance(what, GeneratorType),
    "unwrap": _unwrap,
}

# Names that asyncio and uvloop import. uvloop raises the error only if a `preexec_fn` fails, which nothing here uses.
_SUBPROCESS: Final = {"DEVNULL": -3, "PIPE": -1, "STDOUT": -2, "SubprocessError": Exception}

# msgspec compares types with these. No value of these types is encoded or decoded here.
_DECIMAL: Final = {"Decimal": type("Decimal", (), {})}
_UUID: Final = {"UUID": type("UUID", (), {}), "SafeUUID": type("SafeUUID", (), {"unknown": None})}


# Names that asyncio and uvloop import for the debug mode of their loops.
class _StackSummary:
    @staticmethod
    def extract(*given: Any, **more: Any) -> Any:
        import traceback

        return traceback.StackSummary.extract(*given, **more)


def _extract_stack(frame: Any = None, limit: int | None = None) -> Any:
    import traceback

    return traceback.extract_stack(frame or sys._getframe(1), limit)  # noqa: SLF001


_TRACEBACK: Final = {
    "StackSummary": _StackSummary,
    "extract_stack": _extract_stack,
    "format_list": _late("traceback", "format_list"),
    "walk_stack": _late("traceback", "walk_stack"),
}

# Names that msgspec and pathlib import for functions that are not called here.
_JSON_SCHEMA: Final = {name: _late("msgspec._json_schema", name) for name in ("schema", "schema_components")}
_QUOTE: Final = {"quote_from_bytes": _late("urllib.parse", "quote_from_bytes")}

# The names that msgspec uses; `typing` has them too.
_TYPING: Final = {
    "NotRequired": typing.NotRequired,
    "Required": typing.Required,
    "get_type_hints": typing.get_type_hints,
}


# Names that uvloop imports from `ssl` and uses only for TLS connections. Only `ssl` itself can make the context of such
# a connection, so it is loaded by then.
class _KindOfContext(type):
    def __instancecheck__(cls, instance: object) -> bool:
        import ssl

        return isinstance(instance, ssl.SSLContext)


class _Context(metaclass=_KindOfContext):
    """uvloop uses it only for `isinstance`."""


def _error(name: str) -> type[OSError]:
    return type(name, (OSError,), {"__slots__": ()})


_CAUGHT: Final = {
    name: _error(name) for name in ("SSLWantReadError", "SSLSyscallError", "SSLZeroReturnError", "CertificateError")
}
_SSL: Final[dict[str, object]] = {
    **_CAUGHT,
    "SSLError": OSError,  # its base class; uvloop catches it only where no other OSError occurs
    "SSLContext": _Context,
    "MemoryBIO": _late("ssl", "MemoryBIO"),
    "create_default_context": _late("ssl", "create_default_context"),
    "SSL_ERROR_WANT_READ": 2,  # OpenSSL's numbers, which never change
    "SSL_ERROR_WANT_WRITE": 3,
    "SSL_ERROR_SYSCALL": 5,
}


def _join(ssl: ModuleType) -> None:
    """Make the errors of `ssl` subclasses of the errors that uvloop and asyncio catch."""
    for name, caught in _CAUGHT.items():
        raised = getattr(ssl, name)
        if not issubclass(raised, caught):
            first, *others = raised.__bases__
            raised.__bases__ = (first, caught, *others)
