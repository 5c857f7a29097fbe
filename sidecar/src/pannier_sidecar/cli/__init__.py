"""The command line: verbs, each in a file of its own that is imported when it is asked for."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from pannier_sidecar.cli.parsing import UsageError
from pannier_sidecar.settings import read_arguments, read_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAILURE: Final = 1
USAGE: Final = 2
VERBS: Final = ("run", "serve", "check", "copy", "export", "import", "help")


def run_command(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Do what the arguments say and return the exit code: 0, 1 for a failure, 2 for a command line that is wrong."""
    words = read_arguments() if arguments is None else list(arguments)
    place = read_environment() if environment is None else environment
    try:
        code = _run_verb(words, place)
        sys.stdout.flush()
        return code
    except UsageError as error:
        print(f"pannier: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:  # `pannier check | head`; what is still in the buffer must not be tried again at the exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except KeyboardInterrupt:
        return 130


def _run_verb(words: list[str], environment: Mapping[str, str]) -> int:
    verb, rest = (words[0], words[1:]) if words else ("help", [])
    if verb == "run":
        from pannier_sidecar.cli.run import run

        return run(rest, environment)
    if verb in ("serve", "daprd") or verb.endswith("/daprd"):  # what stands in compose files and pod specs
        from pannier_sidecar.cli.serve import serve

        return serve(rest, environment)
    if verb == "check":
        from pannier_sidecar.cli.check import check

        return check(rest, environment)
    if words[:2] == ["import", "layotto"]:
        from pannier_sidecar.cli.import_layotto import import_layotto

        return import_layotto(words[2:])
    if verb in ("copy", "export", "import"):
        from pannier_sidecar.cli.move import move

        return move(verb, rest, environment)
    if verb in ("version", "--version", "-v"):
        from pannier_sidecar import __version__

        print(__version__)
        return 0
    if verb in ("help", "--help", "-h"):
        from pannier_sidecar.cli.help import show_help

        return show_help(rest[0] if rest else "", is_asked_for=bool(words))
    raise UsageError(_unknown(verb))


def _unknown(verb: str) -> str:
    from pannier_crds.suggestions import closest

    meant = closest(verb, VERBS)
    advice = f"did you mean 'pannier {meant}'?" if meant else f"write pannier {', '.join(VERBS[:-1])} or {VERBS[-1]}"
    return f"there is no command {verb!r}; {advice}"
