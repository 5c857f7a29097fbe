"""Secret stores of the machine itself: environment variables, and a JSON file.

Both are read as in Dapr 1.18, but a missing secret is an error, and not an empty text.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import DecodeError
from msgspec.json import decode

from pannier_crds.addresses.sqlite import is_harmless_path
from pannier_crds.component import SecretKeyRef
from pannier_crds.problems import quoted
from pannier_crds.suggestions import closest
from pannier_sidecar.secret_reader import SecretMissingError, SecretStoreFailedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

ENVIRONMENT: Final = "secretstores.local.env"
FILE: Final = "secretstores.local.file"
_SEVERAL_VALUES: Final = "MULTIPLE_KEY_VALUES_PER_SECRET"
_MAX_FILE_BYTES: Final = 1024 * 1024


def is_reserved(variable: str) -> bool:
    """Return whether an environment variable belongs to the sidecar and is kept from components, as in Dapr 1.18."""
    name = variable.upper()
    return name.startswith("DAPR_") or name == "APP_API_TOKEN"


class EnvironmentSecrets:
    """`secretstores.local.env`: a secret is the environment variable of that name, with the prefix before it."""

    type: str = ENVIRONMENT
    capabilities: tuple[str, ...] = ()
    empty_if_missing = True
    is_readable = True

    def __init__(self, environment: Mapping[str, str], prefix: str = ""):
        self._environment = environment
        self._prefix = prefix

    def secret(self, reference: SecretKeyRef) -> str:
        variable = self._prefix + reference.name
        if is_reserved(variable):
            raise SecretMissingError(f"{quoted(variable)} belongs to the sidecar; put the secret into another variable")
        if reference.key != reference.name:
            raise SecretMissingError(
                f"a variable holds one secret, so {quoted(reference.name)} has no key {quoted(reference.key)}; "
                "take 'key' out"
            )
        value = self._environment.get(variable)
        if value is None:
            raise SecretMissingError(
                f"the environment variable {quoted(variable)} is not set; set it, or correct its name"
            )
        return value

    def waits_for(self, reference: SecretKeyRef) -> str:
        return ""

    async def read(self, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return the variable of that name, with the prefix before it."""
        return {name: self.secret(SecretKeyRef(name, name))}

    async def read_all(self, metadata: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return every variable with the prefix, which is left out of its name. The sidecar's own are left out."""
        names = [name for name in self._environment if name.startswith(self._prefix) and not is_reserved(name)]
        found = {name.removeprefix(self._prefix): self._environment[name] for name in names}
        return {name: {name: value} for name, value in found.items() if name}


class FileSecrets:
    """`secretstores.local.file`: a JSON file. Nested names are joined by a separator; list entries count from 0."""

    type: str = FILE
    empty_if_missing = False
    is_readable = True

    def __init__(self, path: Path, separator: str = ":", *, is_multi_valued: bool = False):
        """Prepare to read. The file is read at each lookup, so that a rotated secret takes effect."""
        self._path = path
        self._shown = str(path) if is_harmless_path(str(path)) else "of secretsFile"
        self._separator = separator
        self._is_multi_valued = is_multi_valued
        self.capabilities: tuple[str, ...] = (_SEVERAL_VALUES,) if is_multi_valued else ()

    def secret(self, reference: SecretKeyRef) -> str:
        secrets = self._read()
        for name in self._names(reference):
            if name in secrets:
                return secrets[name]
        raise SecretMissingError(self._missing_message(reference, secrets))

    def waits_for(self, reference: SecretKeyRef) -> str:
        return ""

    async def read(self, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return the secret of that name: of a multi-valued file all its keys, otherwise its one text."""
        secrets = await self.read_all(metadata)
        if name in secrets:
            return secrets[name]
        raise SecretMissingError(self._missing_message(SecretKeyRef(name, name), dict.fromkeys(secrets, "")))

    async def read_all(self, metadata: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return every secret of the file, by the name that `read` takes."""
        try:
            content = await asyncio.to_thread(self._content)  # a disk may take long to answer
        except SecretMissingError as error:
            raise SecretStoreFailedError(str(error)) from None
        if self._is_multi_valued:
            return {name: self._several(name, part) for name, part in content.items()}
        return {name: {name: text} for name, text in self._flat("", content)}

    def _several(self, name: str, part: object) -> dict[str, str]:
        is_one = not isinstance(part, dict | list)
        return {(name if is_one else inner): text for inner, text in self._flat("", part)}

    def _missing_message(self, reference: SecretKeyRef, secrets: Mapping[str, str]) -> str:
        desired = self._separator.join(dict.fromkeys((reference.name, reference.key)))
        match = closest(desired, secrets)
        advice = f"write {quoted(match)}" if match else "add it there"
        return f"{self._shown} holds no secret {quoted(desired)}; {advice}"

    def _names(self, reference: SecretKeyRef) -> Iterator[str]:
        """Yield the names to look up.

        Dapr finds nested secrets by their joined name. It takes a name and a key only in multi-valued files.
        """
        if reference.key != reference.name or self._is_multi_valued:
            yield reference.name + self._separator + reference.key
        if reference.key == reference.name:
            yield reference.name

    def _read(self) -> dict[str, str]:
        return dict(self._flat("", self._content()))

    def _content(self) -> dict[str, object]:
        try:
            with self._path.open("rb") as file:
                content = self._decoded(file.read(_MAX_FILE_BYTES))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SecretMissingError(f"secrets file {self._shown}: {reason}; correct secretsFile") from error
        except (ValueError, DecodeError, RecursionError):
            raise SecretMissingError(f"secrets file {self._shown} is no JSON; correct it") from None
        if not isinstance(content, dict):
            raise SecretMissingError(f"secrets file {self._shown} is no JSON object; write names and values in braces")
        return content

    def _decoded(self, content: bytes) -> object:
        import json  # imported here, because few sidecars have a file that a user has written

        return json.loads(content)

    def _flat(self, path: str, value: object) -> Iterator[tuple[str, str]]:
        parts: Iterable[tuple[object, object]]
        if isinstance(value, dict):
            parts = value.items()
        elif isinstance(value, list):
            parts = enumerate(value)
        else:
            import json

            yield path, value if isinstance(value, str) else json.dumps(value)
            return
        for name, part in parts:
            yield from self._flat(f"{path}{self._separator}{name}" if path else str(name), part)


class DeliveredSecrets(FileSecrets):
    """Kubernetes Secrets that the operator has delivered in a file. Messages name the Secret, not the file."""

    type = "secretstores.kubernetes"
    is_readable = False
    """They are the passwords of the app's stores. The operator delivers them to the sidecar, and not to the app."""

    def __init__(self, path: Path, namespace: str | None):
        super().__init__(path, is_multi_valued=True)
        self.capabilities = ()  # as in Dapr
        self._namespace = namespace

    def _decoded(self, content: bytes) -> object:
        return decode(content)

    def _missing_message(self, reference: SecretKeyRef, secrets: Mapping[str, str]) -> str:
        where = f" in namespace {quoted(self._namespace)}" if self._namespace else ""
        return (
            f"there is no Secret {quoted(reference.name)}{where} with a text under the key {quoted(reference.key)}; "
            "make it, or correct the reference"
        )
