"""`pannier help`: the verbs, and the flags with their defaults."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from pannier_sidecar.cli.flags import SECTIONS
from pannier_sidecar.cli.parsing import UsageError
from pannier_sidecar.settings import RUN_DEFAULTS, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pannier_sidecar.cli.flags import Flag

OVERVIEW: Final = """\
Pannier serves a state API beside your app, over the database of your choice.

  pannier run [FLAGS] [-- COMMAND ...]   on a laptop: serve, and start your app when the API answers
  pannier serve --app-id NAME [FLAGS]    in a pod or a compose file; takes daprd's flags
  pannier check PATH ...                 judge component files: pannier check [--output text|json] PATH ...
  pannier copy --from FILE --to FILE     copy an app's state from one store to another
  pannier export --from FILE             write an app's state as lines of JSON
  pannier import --to FILE [LINES]       save such lines into a store
  pannier import layotto CONFIG.json     turn Layotto's state stores into component files
  pannier help run                       the flags of run and serve
  pannier --version

Without --components, run keeps a store called 'statestore' in your data folder.
"""
CHECK: Final = """\
pannier check [--output text|json] PATH ...

Judges component files and folders, all of them together, and prints what is wrong as
  file:line: error: field: what is wrong; what to write
Ends with 0 if no error was found, else with 1.
"""
COPY: Final = """\
pannier copy --from FILE[#NAME] --to FILE[#NAME] [--app-id NAME] [--overwrite] [--journal FILE]

Copies the keys of an app and of its actors, with what is left of their time to live, from the store that one component
file describes to that of another, then compares the two. Which app: --app-id, APP_ID, or 'app'.
Stopped or repeated, it does what is not done yet. A key that has another value in the target is left and reported,
unless an earlier run wrote that value; --overwrite replaces it. The journal of what was written is moved.db in your
data folder. Ends with 0 when the target has everything, else with 1.
"""
EXPORT: Final = """\
pannier export --from FILE[#NAME] [--app-id NAME] [--output FILE] [--overwrite]

Writes the keys of an app and of its actors as lines of JSON, to standard output or into a file:
  {"key": "weapon", "value": {"name": "DeathStar"}, "ttlExpireTime": "2026-11-25T20:00:00Z"}
  {"actorType": "cat", "actorId": "tom", "key": "photo", "base64": "/9j/"}
Values that are JSON stand there byte for byte, others in base64. A file that exists is replaced with --overwrite only.
"""
IMPORT: Final = """\
pannier import --to FILE[#NAME] [--app-id NAME] [--overwrite] [--journal FILE] [LINES]

Saves lines as `pannier export` writes them, from a file or from standard input, under the rules of `pannier copy`.
A line that can't be read is named by its number, and the others are saved. Ends with 0 when all are, else with 1.

pannier import layotto [--output DIR|-] CONFIG.json

Writes a component file for each state store of Layotto's configuration, judges them as `pannier check` does, and says
what was left out and how to go on. DIR is 'components' unless said otherwise, - is standard output. A file that is
there already is left as it is. Ends with 0 if all of the state stores can be served, else with 1.
"""
PAGES: Final = {"check": CHECK, "copy": COPY, "export": EXPORT, "import": IMPORT}
TOPICS: Final = ("run", "serve", *PAGES)
_COLUMN: Final = 36


def show_help(topic: str, *, is_asked_for: bool = True) -> int:
    """Print help on a verb or, for none, the overview; where nobody asked, to standard error with exit code 2."""
    if topic in ("run", "serve"):
        print("\n".join(_flags(topic)))
    elif topic in PAGES:
        print(PAGES[topic], end="")
    elif topic in ("", "help", "version"):
        print(OVERVIEW, end="", file=sys.stdout if is_asked_for else sys.stderr)
    else:
        raise UsageError(f"there is no help on {topic!r}; write pannier help {', '.join(TOPICS[:-1])} or {TOPICS[-1]}")
    return 0 if is_asked_for else 2


def _flags(verb: str) -> Iterator[str]:
    usage = "pannier run [FLAGS] [-- COMMAND ...]" if verb == "run" else "pannier serve --app-id NAME [FLAGS]"
    yield usage
    settings = Settings().changed(RUN_DEFAULTS) if verb == "run" else Settings()
    for title, flags in SECTIONS:
        yield f"\n{title}"
        for flag in flags:
            yield f"  {_left(flag):{_COLUMN}} {flag.help}{_default(settings, flag)}"
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
