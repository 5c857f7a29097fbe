"""The verbs of the command line, one table: dispatch, help, shell completion and the README's table follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_sidecar.cli import flags
from pannier_sidecar.cli.verb import HELP_FLAGS, SHELLS, Verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_sidecar.cli.verb import Environment

# Each function imports its module when it is called: `pannier serve` does not pay for what the other verbs need.


def _run(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.run import run

    return run(arguments, environment)


def _serve(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.serve import serve

    return serve(arguments, environment)


def _list(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.listing import list_apps

    return list_apps(arguments, environment)


def _stop(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.stopping import stop

    return stop(arguments, environment)


def _state(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.state import state

    return state(arguments, environment)


def _check(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.check import check

    return check(arguments, environment)


def _schema(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.schema import print_schema

    return print_schema(arguments)


def _copy(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.move import move

    return move("copy", arguments, environment)


def _export(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.move import move

    return move("export", arguments, environment)


def _import(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.move import move

    return move("import", arguments, environment)


def _reencrypt(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.move import move

    return move("reencrypt", arguments, environment)


def _import_layotto(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.import_layotto import import_layotto

    return import_layotto(arguments)


def _completion(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.completion import print_completion

    return print_completion(VERBS, arguments)


def _help(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar.cli.help import show_help

    topic = " ".join(word for word in arguments if word not in HELP_FLAGS)
    return show_help(VERBS, topic or ("help" if arguments else ""))


def _version(arguments: Sequence[str], environment: Environment) -> int:
    from pannier_sidecar import __version__

    print(__version__)
    return 0


VERBS: Final = (
    Verb(
        "run",
        "run [FLAGS] [-- COMMAND ...]",
        "on a laptop: serve, and start your app when the API answers, or several apps (-f dapr.yaml)",
        _run,
        flags=(*flags.SHOWN, flags.RUN_FILE),
    ),
    Verb(
        "serve",
        "serve --app-id NAME [FLAGS]",
        "in a pod or a compose file: serve; takes daprd's flags",
        _serve,
        flags=flags.SHOWN,
        aliases=("daprd",),
    ),
    Verb(
        "list",
        "list [--output table|json|yaml]",
        "list the apps that 'pannier run' has started",
        _list,
        """\
Lists your apps that 'pannier run' has started on this machine, with their ports and processes, in the columns of
'dapr list'. DAPRD PID is the process that serves the API, CLI PID the one that you started.
""",
        flags.LIST,
    ),
    Verb(
        "stop",
        "stop --app-id NAME ... | -f FILE",
        "stop apps that 'pannier run' has started",
        _stop,
        """\
Stops apps by their ids, or everything that 'pannier run -f FILE' has started, and waits until it has ended. An app gets
SIGTERM and can save its state; its sidecar ends after it. An app that takes longer than 15 s is killed.
Exits with 0 when all have ended, with 1 if one does not run.
""",
        flags.STOP,
    ),
    Verb(
        "state",
        "state get|save|delete|list|increment|append|get-and-set|touch|exists|watch [FLAGS] KEY [VALUE ...]",
        "read and change state through a running sidecar",
        _state,
        """\
  get KEY [--output json]           print the value, byte for byte; with --output json its ETag and expiry too
  save KEY VALUE                    save a value: JSON, so a text is in quotes; - reads it from standard input
  delete KEY                        delete a key
  list [PREFIX]                     print the app's keys, one on each line; odd ones as JSON texts
  increment KEY [--by N] [--initial N] [--floor N] [--ceiling N]
                                    add to a number, and print the new one
  append KEY VALUE ... [--max-length N]
                                    add to a list, and print its length
  get-and-set KEY VALUE             replace a value, and print the one before
  touch KEY --ttl SECONDS           change only when a value expires
  exists KEY                        print true or false; exits with 1 for false
  watch [PREFIX] [--values] [--since ID] [--output json]
                                    print the keys, and then each change, until it is interrupted

--store NAME chooses the store, --http-port PORT the sidecar on this machine; without it DAPR_HTTP_PORT does, or 3500.
The token is read from DAPR_API_TOKEN. --etag makes a change depend on the ETag that a get has shown, --ttl says when a
value expires. With --idempotency-key KEY, a command whose answer was lost can be repeated, and is done once. A number
below zero is written after --: pannier state save -- balance -5.
Exits with 0 when it is done, with 1 if the key is not there, or if the sidecar refuses or does not answer.
""",
        flags.STATE,
        arguments=("get", "save", "delete", "list", "increment", "append", "get-and-set", "touch", "exists", "watch"),
    ),
    Verb(
        "check",
        "check [--output text|json|sarif] PATH ...",
        "validate component files, all of them together",
        _check,
        """\
Validates component files and folders, all of them together, and prints each problem as
  file:line: error: field: what is wrong; what to write
With --output sarif, code hosts show the problems beside the lines. Exits with 0 if there is no error, else with 1.
""",
        flags.CHECK,
        takes_files=True,
    ),
    Verb(
        "schema",
        "schema",
        "print the JSON Schema of components, for editors and pipelines",
        _schema,
        """\
Prints the JSON Schema of component files. An editor that knows it completes and describes fields, and marks mistakes:
  pannier schema > component.schema.json
and in the first line of the component file beside it:
  # yaml-language-server: $schema=component.schema.json
""",
    ),
    Verb(
        "copy",
        "copy --from FILE[#NAME] --to FILE[#NAME] [--app-id NAME] [--overwrite] [--journal FILE]",
        "copy an app's state from one store to another",
        _copy,
        """\
Copies the keys of an app and of its actors, with their remaining time to live, then compares the two stores. Each FILE
has the component of a store. The app is that of --app-id, APP_ID, or 'app'.
If interrupted, run it again: it continues where it ended. A key that has another value in the target is left unchanged
and reported, unless an earlier run wrote that value; --overwrite replaces it. The journal of what was written is
moved.db in your data folder. Exits with 0 when the target has everything, else with 1.
""",
        flags.COPY,
    ),
    Verb(
        "export",
        "export --from FILE[#NAME] [--app-id NAME] [--output FILE] [--overwrite]",
        "write an app's state as lines of JSON",
        _export,
        """\
Writes the keys of an app and of its actors as lines of JSON, to standard output or into a file:
  {"key": "weapon", "value": {"name": "DeathStar"}, "ttlExpireTime": "2026-11-25T20:00:00Z"}
  {"actorType": "cat", "actorId": "tom", "key": "photo", "base64": "/9j/"}
JSON values are written byte for byte, others in base64. An existing file is replaced only with --overwrite.
""",
        flags.EXPORT,
    ),
    Verb(
        "import",
        "import --to FILE[#NAME] [--app-id NAME] [--overwrite] [--journal FILE] [LINES]",
        "save exported lines into a store",
        _import,
        """\
Saves lines as `pannier export` writes them, from a file or from standard input, under the rules of `pannier copy`.
A line that can't be read is reported by its number, and the others are saved. Exits with 0 when all are, else with 1.

From Layotto's configuration: pannier help import layotto
""",
        flags.IMPORT,
        arguments=("layotto",),
        takes_files=True,
    ),
    Verb(
        "reencrypt",
        "reencrypt --component FILE[#NAME] [--app-id NAME]",
        "encrypt an app's stored values again with the primary key",
        _reencrypt,
        """\
Encrypts the values of an app and of its actors with the primaryEncryptionKey of the component, and in its
encryptionFormat. Then it reads everything again, and says whether any value of the app needs another key. Apps may go
on meanwhile: a value is written only if nobody has changed it since it was read. Its ETag changes.
If interrupted, run it again: it continues where it ended. Exits with 0 when no value needs another key, else with 1.
""",
        flags.REENCRYPT,
    ),
    Verb(
        "import layotto",
        "import layotto [--output DIR|-] CONFIG.json",
        "turn Layotto's state stores into component files",
        _import_layotto,
        """\
Writes a component file for each state store of Layotto's configuration, validates them as `pannier check` does, and
prints what was left out and the next step. DIR is 'components' by default, - is standard output. An existing file is
left unchanged. Exits with 0 if all of the state stores can be served, else with 1.
""",
        flags.IMPORT_LAYOTTO,
        takes_files=True,
    ),
    Verb(
        "completion",
        "completion bash|zsh|fish",
        "print a script that completes commands and flags in your shell",
        _completion,
        """\
Prints a script that completes commands and flags. To load it in the current shell:
  bash: source <(pannier completion bash)
  zsh:  source <(pannier completion zsh)
  fish: pannier completion fish | source
To load it in every new shell, add that line to ~/.bashrc or, below compinit, to ~/.zshrc; for fish, write the script to
~/.config/fish/completions/pannier.fish.
""",
        arguments=SHELLS,
    ),
    Verb(
        "help",
        "help [COMMAND]",
        "describe a command and its flags, as pannier COMMAND --help does",
        _help,
        "Without a command, lists the commands.\n",
        aliases=HELP_FLAGS,
    ),
    Verb(
        "version",
        "version",
        "print the version",
        _version,
        "Prints the version.\n",
        aliases=("--version", "-v"),
    ),
)


def find(words: Sequence[str]) -> tuple[Verb, Sequence[str]] | None:
    """Return the longest verb that the words begin with, and the words after it."""
    for length in (2, 1):
        name = " ".join(words[:length])
        for verb in VERBS:
            if len(words) >= length and name in (verb.name, *verb.aliases):
                return verb, words[length:]
    if words and words[0].endswith("/daprd"):  # the path in daprd's images, which pod specs and compose files name
        return find(("serve", *words[1:]))
    return None
