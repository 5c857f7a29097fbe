"""`pannier import layotto`: translates Layotto's configuration to component files, and prints what to do next."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from pannier_crds.manifests import write_document
from pannier_sidecar.cli.check import judge, lines
from pannier_sidecar.cli.flags import IMPORT_LAYOTTO
from pannier_sidecar.cli.layotto_config import NotLayottoError, translate
from pannier_sidecar.cli.parsing import UsageError, parse_with_paths
from pannier_sidecar.loading.folder import FolderUnreadableError, component_files, parse, read_contents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pannier_crds.component import Component
    from pannier_crds.problems import Problem
    from pannier_sidecar.cli.layotto_config import Translation

STANDARD_OUTPUT: Final = "-"
DEFAULT_FOLDER: Final = "components"
DEFAULT_APP_ID: Final = "app"
MAX_BYTES: Final = 16 * 1024 * 1024


class LayottoImportError(Exception):
    """The import has failed and nothing is written; the text is one line for the user."""


def import_layotto(arguments: Sequence[str]) -> int:
    """Write the components; return 1 if a state store cannot be served as it was."""
    parsed, paths = parse_with_paths(arguments, IMPORT_LAYOTTO)
    if len(paths) != 1:
        raise UsageError("import layotto needs one file: write pannier import layotto CONFIG.json")
    try:
        return _import(paths[0], parsed.changes.get("output", DEFAULT_FOLDER))
    except (LayottoImportError, FolderUnreadableError) as error:
        print(f"pannier: {error}", file=sys.stderr)
        return 1


def _import(name: str, output: str) -> int:
    """Translate a file, and write or show the result. Raises LayottoImportError and FolderUnreadableError."""
    made = _translate(name)
    if output == STANDARD_OUTPUT:
        files = _files(made.components, "")
        print("---\n".join(files.values()), end="")
        return _report(made, {}, files, DEFAULT_FOLDER, sys.stderr)
    files = _files(made.components, output)
    _write(files)
    print("\n".join(f"written: {path}" for path in files))
    return _report(made, read_contents(component_files(Path(output))), files, output, sys.stdout)


def _report(
    made: Translation, there: Mapping[str, bytes | Problem], files: Mapping[str, str], folder: str, to: TextIO
) -> int:
    """Print what was left out, what is wrong with the new files and with existing ones, and what to do next."""
    reading = parse({**there, **{path: text.encode() for path, text in files.items()}})
    verdicts = judge(reading)
    print("\n".join([*map(str, made.left_out), *lines(reading, verdicts), _next_step(made, folder)]), file=to)
    is_whole = not any(left.is_state for left in made.left_out)
    return 0 if is_whole and not any(verdict.problem.is_error for verdict in verdicts) else 1


def _translate(name: str) -> Translation:
    """Read and translate a file of Layotto. Raises LayottoImportError."""
    try:
        made = translate(_read_json(name))
    except NotLayottoError as error:
        raise LayottoImportError(f"{name} {error}") from None
    if not made.components:
        reasons = [str(left) for left in made.left_out if left.is_state]
        raise LayottoImportError(
            f"{name} has no state store that can be served{''.join(f'; {why}' for why in reasons)}"
        )
    return made


def _read_json(name: str) -> Any:
    try:
        with Path(name).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise LayottoImportError(f"{name} is larger than {MAX_BYTES // 2**20} MiB")
        return json.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise LayottoImportError(f"{name}: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, RecursionError) as error:
        raise LayottoImportError(f"{name} is no JSON: {error}") from None


def _files(components: Sequence[Component], folder: str) -> dict[str, str]:
    """Return the text of each file by its path. Raises LayottoImportError if two would have the same path."""
    files: dict[str, str] = {}
    for component in components:
        path = str(Path(folder, re.sub(r"[^A-Za-z0-9._-]+", "-", component.name).lstrip(".") + ".yaml"))
        if path.lower() in (other.lower() for other in files):
            raise LayottoImportError(
                f"two stores would be written to {path}; give them names that differ by more than punctuation"
            )
        files[path] = write_document(component.to_manifest())
    return files


def _write(files: Mapping[str, str]) -> None:
    """Write the files. Raises LayottoImportError; if a file exists with another text, nothing is written."""
    try:
        for name, text in files.items():
            if Path(name).exists() and Path(name).read_bytes() != text.encode():
                raise LayottoImportError(f"{name} is there already; remove it, or name another folder by --output")
        for name, text in files.items():
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            with open(name, "w", encoding="utf-8", opener=_for_owner) as file:
                file.write(text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise LayottoImportError(f"{error.filename or name} can't be written: {reason}") from None


def _for_owner(path: str, flags: int) -> int:
    """Open a file to write. A new one can be read only by its owner: Layotto's configuration may hold passwords."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _next_step(made: Translation, folder: str) -> str:
    words = ["pannier", "serve", "--app-id", made.app_id or DEFAULT_APP_ID, "--components", folder]
    if made.port is not None:
        words += ["--layotto-port", str(made.port)]
    return f"continue with: {shlex.join(words)}"
