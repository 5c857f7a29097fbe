"""The command line: `verbs` has the table of verbs, each in a module that is imported when it is used."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from pannier_sidecar.cli.help import show_help
from pannier_sidecar.cli.parsing import UsageError
from pannier_sidecar.cli.verb import HELP_FLAGS
from pannier_sidecar.cli.verbs import VERBS, find
from pannier_sidecar.settings import read_arguments, read_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FAILURE: Final = 1
USAGE: Final = 2


def run_command(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Do what the arguments say and return the exit code: 0, 1 for a failure, 2 for a wrong command line."""
    words = read_arguments() if arguments is None else list(arguments)
    place = read_environment() if environment is None else environment
    try:
        code = _run_verb(words, place)
        sys.stdout.flush()
        return code
    except UsageError as error:
        print(f"pannier: {error}", file=sys.stderr)
        return USAGE
    except BrokenPipeError:  # `pannier check | head`; the rest of the buffer must not be written again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except KeyboardInterrupt:
        return 130


def _run_verb(words: list[str], environment: Mapping[str, str]) -> int:
    if not words:
        return show_help(VERBS, "", is_asked_for=False)
    found = find(words)
    if found is None:
        raise UsageError(_unknown(words[0]))
    verb, arguments = found
    if _wants_help(arguments) and verb.name != "help":
        return show_help(VERBS, verb.name)
    return verb.function(arguments, environment)


def _wants_help(arguments: Sequence[str]) -> bool:
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return any(word.removesuffix("=true") in HELP_FLAGS for word in own)


def _unknown(word: str) -> str:
    from pannier_crds.suggestions import closest

    names = list(dict.fromkeys(verb.name.split()[0] for verb in VERBS))
    match = closest(word, names)
    advice = f"did you mean 'pannier {match}'?" if match else f"write pannier {', '.join(names[:-1])} or {names[-1]}"
    return f"there is no command {word!r}; {advice}"
