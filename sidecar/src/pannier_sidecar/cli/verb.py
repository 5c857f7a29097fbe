"""The declaration of a verb of the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from pannier_sidecar.cli.flags import Flag

HELP_FLAGS: Final = ("--help", "-h", "-help")
SHELLS: Final = ("bash", "zsh", "fish")

Environment = Mapping[str, str]
Function = Callable[[Sequence[str], Environment], int]
"""Takes the arguments after the verb and the environment, and returns the exit code. Raises UsageError."""


class Verb(Struct, frozen=True):
    """One verb."""

    name: str
    """One or two words, such as `import layotto`."""
    usage: str
    """The command line after `pannier`."""
    summary: str
    """One line without a full stop."""
    function: Function
    page: str = ""
    """What `pannier help VERB` prints below the usage; empty if it lists the flags instead."""
    flags: tuple[Flag, ...] = ()
    aliases: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    """The words that may follow the verb, for completion."""
    takes_files: bool = False
    """Whether the names of files may follow it."""
