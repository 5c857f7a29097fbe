"""`pannier completion`: scripts for bash, zsh and fish, made from the tables of verbs and flags."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from pannier_sidecar.cli.parsing import UsageError
from pannier_sidecar.cli.verb import SHELLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pannier_sidecar.cli.flags import Flag
    from pannier_sidecar.cli.verb import Verb

_HELP: Final = "describe this command"


def print_completion(verbs: Sequence[Verb], arguments: Sequence[str]) -> int:
    """Print the script for a shell. Raises UsageError."""
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        raise UsageError("completion needs the name of a shell: write pannier completion bash, zsh or fish")
    print("\n".join({"bash": _bash, "zsh": _zsh, "fish": _fish}[arguments[0]](verbs)))
    return 0


def choices_of(flag: Flag) -> tuple[str, ...]:
    """Return the values that a flag takes, if its placeholder lists them, as `text|json` does."""
    values = tuple(flag.placeholder.split("|"))
    return values if len(values) > 1 and all(value.islower() for value in values) else ()


def _names(verbs: Sequence[Verb]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(verb.name.split()[0] for verb in verbs))


def _arguments_of(verb: Verb, verbs: Sequence[Verb]) -> tuple[str, ...]:
    return _names(verbs) if verb.name == "help" else verb.arguments


def _bash(verbs: Sequence[Verb]) -> Iterator[str]:
    yield "_pannier() {"
    yield "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb= words= flags="
    yield "    COMPREPLY=()"
    yield "    ((COMP_CWORD > 1)) && verb=${COMP_WORDS[1]}"
    yield """    ((COMP_CWORD > 2)) && [[ "$verb ${COMP_WORDS[2]}" == 'import layotto' ]] && verb='import layotto'"""
    yield '    case "$verb $previous" in'
    for verb in verbs:
        for flag in filter(choices_of, verb.flags):
            words = " ".join(choices_of(flag))
            yield f"""    '{verb.name} --{flag.name}') COMPREPLY=($(compgen -W '{words}' -- "$current")); return ;;"""
    yield "    esac"
    yield "    case $verb in"
    yield f"    '') words='{' '.join(_names(verbs))}' flags=--help ;;"
    for verb in verbs:
        flags = " ".join((*(f"--{flag.name}" for flag in verb.flags), "--help"))
        yield f"    '{verb.name}') words='{' '.join(_arguments_of(verb, verbs))}' flags='{flags}' ;;"
    yield "    esac"
    yield "    [[ $current == -* ]] && words=$flags"
    yield '    COMPREPLY=($(compgen -W "$words" -- "$current"))'
    yield "}"
    yield "# `default`: files where no word matches."
    yield "complete -o default -F _pannier pannier"


def _zsh(verbs: Sequence[Verb]) -> Iterator[str]:
    yield "#compdef pannier"
    yield "_pannier() {"
    yield "    local -a verbs"
    yield "    verbs=("
    for verb in verbs:
        if " " not in verb.name:
            yield f"        {shlex.quote(f'{verb.name}:{verb.summary}')}"
    yield "    )"
    yield "    if ((CURRENT == 2)); then _describe command verbs; return; fi"
    yield '    local verb="$words[2]"'
    yield "    shift words; ((CURRENT--))"
    yield "    if [[ $verb == import && $words[2] == layotto ]] && ((CURRENT > 2)); then"
    yield "        verb='import layotto'; shift words; ((CURRENT--))"
    yield "    fi"
    yield '    case "$verb" in'
    for verb in verbs:
        specs = [*map(_zsh_flag, verb.flags), f"--help[{_HELP}]", *_zsh_operands(verb, verbs)]
        yield f"    ({shlex.quote(verb.name)}) _arguments {shlex.join(specs)} ;;"
    yield "    esac"
    yield "}"
    yield "_pannier_command() {"
    yield "    [[ $words[1] != -- ]] && return 1"
    yield "    shift words; ((CURRENT--))"
    yield "    _normal"
    yield "}"
    yield "# Run as a completion function from $fpath, or sourced."
    yield 'if [[ $funcstack[1] == _pannier ]]; then _pannier "$@"; else compdef _pannier pannier; fi'


def _zsh_operands(verb: Verb, verbs: Sequence[Verb]) -> Iterator[str]:
    words = " ".join(_arguments_of(verb, verbs))
    if _takes_command(verb):
        yield "*::command:_pannier_command"
    elif words:
        yield f"1:argument:{{compadd -- {words}; _files}}" if verb.takes_files else f"1:argument:({words})"
    if verb.takes_files:
        yield "*:file:_files"


def _zsh_flag(flag: Flag) -> str:
    help_text = flag.help.replace("[", r"\[").replace("]", r"\]").replace(":", r"\:")
    repeats = "*" if flag.repeats else ""
    if flag.is_boolean:
        return f"{repeats}--{flag.name}[{help_text}]"
    choices = choices_of(flag)
    action = f"({' '.join(choices)})" if choices else "_files" if _is_path(flag) else " "
    # With `=` after the name, the value may follow in the same word or in the next one.
    return f"{repeats}--{flag.name}=[{help_text}]:{flag.placeholder.lower().replace('|', ' or ')}:{action}"


_FISH_FUNCTIONS: Final = """\
function __pannier_at --description 'Return whether the command line has this verb and no other'
    set -l words (commandline -opc) ''
    set -l verb $words[2]
    test "$words[2..3]" = 'import layotto'; and set verb 'import layotto'
    test "$verb" = "$argv[1]"; and not contains -- -- $words
end
function __pannier_command --description 'Complete the command after --'
    set -l words (commandline -opc)
    set -e words[1..(contains -i -- -- $words)]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end"""


def _fish(verbs: Sequence[Verb]) -> Iterator[str]:
    yield _FISH_FUNCTIONS
    yield "complete -c pannier -f"
    for verb in verbs:
        first, _, second = verb.name.partition(" ")
        place = first if second else ""
        yield f"complete -c pannier -n \"__pannier_at '{place}'\" -a {second or first} -d {_fish_quoted(verb.summary)}"
        yield from _fish_verb(verb, verbs)


def _fish_verb(verb: Verb, verbs: Sequence[Verb]) -> Iterator[str]:
    begin = f"complete -c pannier -n \"__pannier_at '{verb.name}'\""
    for word in _arguments_of(verb, verbs):
        if f"{verb.name} {word}" not in (other.name for other in verbs):
            yield f"{begin} -a {word}"
    if verb.takes_files:
        yield f"{begin} -F"
    if _takes_command(verb):
        yield "complete -c pannier -n 'contains -- -- (commandline -opc)' -a '(__pannier_command)'"
    for flag in verb.flags:
        values = "" if flag.is_boolean else " -r -F" if _is_path(flag) else " -x"
        if choices := choices_of(flag):
            values += f" -a '{' '.join(choices)}'"
        yield f"{begin} -l {flag.name}{values} -d {_fish_quoted(flag.help)}"
    yield f"{begin} -l help -d {_fish_quoted(_HELP)}"


def _fish_quoted(text: str) -> str:
    r"""Quote for fish: within single quotes it knows only `\'` and `\\`, and not the `'"'"'` of other shells."""
    return "'" + text.replace("\\", r"\\").replace("'", r"\'") + "'"


def _is_path(flag: Flag) -> bool:
    return flag.placeholder.startswith(("FILE", "DIR"))


def _takes_command(verb: Verb) -> bool:
    return "[-- COMMAND" in verb.usage
