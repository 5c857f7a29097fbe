"""Which socket serves a component type: `ledger.sock` serves `state.ledger`. No I/O but listing the folder."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from pannier_crds.pluggable import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_FILES: Final = 1000
"""Files of the folder that are looked at: anybody may be able to write to it."""


def sockets_of(folder: Path, component_type: str) -> list[str]:
    """Return the files of the sockets that serve a type, sorted; there should be one."""
    wanted = name_of(component_type)
    return sorted(path for name, path in _sockets(folder) if name == wanted)


def _sockets(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the path of each socket; nothing if the folder cannot be read."""
    try:
        with os.scandir(folder) as entries:
            for _, entry in zip(range(MAX_FILES), entries, strict=False):
                if _is_socket(entry):
                    yield os.path.splitext(entry.name)[0].lower(), entry.path
    except OSError:
        return


def _is_socket(entry: os.DirEntry[str]) -> bool:
    try:
        return stat.S_ISSOCK(entry.stat().st_mode)
    except OSError:  # it is gone, or a link to nothing
        return False
