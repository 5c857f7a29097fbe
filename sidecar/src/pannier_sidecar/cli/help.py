"""`pannier help`: the verbs, and the flags with their defaults."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from pannier_sidecar.cli.flags import RUN_FILE, SECTIONS
from pannier_sidecar.cli.parsing import UsageError
from pannier_sidecar.settings import RUN_DEFAULTS, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pannier_sidecar.cli.flags import Flag
    from pannier_sidecar.cli.verb import Verb

_COLUMN: Final = 36


def show_help(verbs: Sequence[Verb], topic: str, *, is_asked_for: bool = True) -> int:
    """Print help on a verb, or the overview if the topic is empty, and return the exit code. An overview that was not
    asked for goes to standard error, with exit code 2.
    """
    if not topic:
        print("\n".join(_overview(verbs)), file=sys.stdout if is_asked_for else sys.stderr)
        return 0 if is_asked_for else 2
    for verb in verbs:
        if topic == verb.name:
            print("\n".join(_page(verb)))
            return 0
    names = [verb.name for verb in verbs]
    raise UsageError(f"there is no help on {topic!r}; write pannier help {', '.join(names[:-1])} or {names[-1]}")


def _overview(verbs: Sequence[Verb]) -> Iterator[str]:
    yield "Pannier serves a state API beside your app, over the database of your choice.\n"
    for verb in verbs:
        yield f"  pannier {verb.name:{_COLUMN - 20}} {verb.summary}"
    yield "\n'pannier help COMMAND' describes a command and its flags."
    yield "Without --components, run keeps a store called 'statestore' in your data folder."


def _page(verb: Verb) -> Iterator[str]:
    yield f"pannier {verb.usage}"
    if verb.page:
        yield f"\n{verb.page}".rstrip("\n")
    else:
        yield from _flags(verb.name)


def _flags(name: str) -> Iterator[str]:
    settings = Settings().changed(RUN_DEFAULTS) if name == "run" else Settings()
    for title, flags in SECTIONS:
        yield f"\n{title}"
        for flag in flags:
            yield f"  {_left(flag):{_COLUMN}} {flag.help}{_default(settings, flag)}"
    if name == "run":
        yield "\nSeveral apps"
        yield f"  {_left(RUN_FILE):{_COLUMN}} {RUN_FILE.help} (-f)"
    yield "\nEvery other flag of daprd is accepted; what has no effect here is named once in the log."
    yield "Read from the environment: APP_ID, DAPR_API_TOKEN, NAMESPACE, POD_NAME, XDG_DATA_HOME and OTEL_*."


def _left(flag: Flag) -> str:
    placeholder = f" {flag.placeholder}" if flag.placeholder else ""
    return f"--{flag.name}{placeholder}"


def _default(settings: Settings, flag: Flag) -> str:
    value: Any = settings
    for name in flag.setting.split("."):
        value = getattr(value, name)
    if value in (None, "", ()) or value is False:
        return ""
    if isinstance(value, tuple):
        value = ",".join(str(part) for part in value)
    if value is True:
        value = "true"
    elif isinstance(value, int) and value % 1024 == 0 and value:
        value = f"{value // 2**20}Mi" if value % 2**20 == 0 else f"{value // 2**10}Ki"
    return f" ({value:g})" if isinstance(value, float) else f" ({value})"
