"""Parses arguments as Go's pflag does, because daprd's users know its rules.

It accepts `--flag=value`, `--flag value`, a boolean flag without a value (the next word is never its value) and
`--flag=false`. `--` ends the flags. One dash means the same as two, as in older files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from pannier_crds.suggestions import closest
from pannier_sidecar.cli.flags import EVERY_FLAG, Flag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class UsageError(Exception):
    """The command line cannot be understood; the text is one line for the user."""


class Parsed(Struct):
    """What a command line says."""

    changes: dict[str, Any] = {}
    """Paths of settings and their values."""
    without_effect: list[str] = []
    """The given flags of daprd that have no effect in Pannier."""
    command: list[str] = []
    """The words after `--`."""
    asks: str = ""
    """What is asked for instead of the verb: `version`, `wait` or nothing."""


def parse(arguments: Sequence[str], flags: Iterable[Flag] = EVERY_FLAG) -> Parsed:
    """Read the arguments after a verb. Raises UsageError."""
    by_name = {name: flag for flag in flags for name in flag.names}
    parsed = Parsed()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            parsed.command = rest
            break
        if not word.startswith("-") or word == "-":
            raise UsageError(_unexpected(word))
        name, has_value, value = word.lstrip("-").partition("=")
        flag = by_name.get(name)
        if flag is None:
            raise UsageError(_unknown(name, by_name))
        if not has_value:
            value = _next_value(flag, name, rest)
        _take(parsed, flag, name, value)
    return parsed


def parse_with_paths(arguments: Sequence[str], flags: Sequence[Flag]) -> tuple[Parsed, list[str]]:
    """Read flags and paths, in any order; everything after `--` is a path. Raises UsageError."""
    takes_value = {name for flag in flags for name in flag.names if not flag.is_boolean}
    words: list[str] = []
    paths: list[str] = []
    is_value = False
    for index, word in enumerate(arguments):
        if word == "--":
            paths += arguments[index + 1 :]
            break
        if is_value or (word.startswith("-") and word != "-"):
            is_value = not is_value and word.lstrip("-") in takes_value
            words.append(word)
        else:
            paths.append(word)
    return parse(words, flags), paths


def _next_value(flag: Flag, name: str, rest: list[str]) -> str:
    if flag.is_boolean:
        return "true"
    if not rest or rest[0] == "--":
        dashes = "-" if len(name) == 1 else "--"
        raise UsageError(f"{dashes}{name} needs a value: write {dashes}{name} {flag.placeholder or 'VALUE'}")
    return rest.pop(0)


def _take(parsed: Parsed, flag: Flag, name: str, text: str) -> None:
    if not flag.setting and not flag.asks:
        parsed.without_effect.append(name)
        return
    if not text.strip():  # as from an empty variable in a compose file: the default
        return
    try:
        value = flag.read(text)
    except ValueError as error:
        raise UsageError(f"--{name}: {text!r} can't be used; {error}") from None
    if flag.repeats:
        value = (*parsed.changes.get(flag.setting, ()), *value)
    if flag.asks:
        parsed.asks = parsed.asks or (flag.asks if value else "")
    elif value is not None:
        parsed.changes[flag.setting] = value


def _unexpected(word: str) -> str:
    return f"unexpected {word!r}; flags start with --, and an app's command comes after ' -- '"


_SHORT: Final = {
    "a": "app-id",
    "c": "config",
    "d": "components",
    "G": "grpc-port",
    "H": "http-port",
    "M": "metrics-port",
    "p": "app-port",
    "P": "app-protocol",
    "u": "unix-domain-socket",
}
"""The one-letter flags of Dapr's command line tool, which daprd does not have."""


def _unknown(name: str, known: Iterable[str]) -> str:
    if name in ("f", "run-file"):
        return "there is no flag -f here; write 'pannier run -f FILE' for a run file of several apps"
    if name in ("k", "kubernetes"):
        return f"there is no flag -{name}: nothing is deployed from a run file; docs/kubernetes.md says how to deploy"
    if name in _SHORT:
        return f"there is no flag -{name}; write --{_SHORT[name]} for the dapr command's -{name}"
    match = closest(name, known)
    advice = f"did you mean --{match}?" if match else "'pannier help' lists the flags"
    return f"there is no flag --{name}; {advice}"
