"""The secrets of AWS Secrets Manager by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import DecodeError

from pannier_crds.given_settings import GivenSettings
from pannier_crds.problems import quoted
from pannier_sidecar.secret_reader import SecretMissingError
from pannier_sidecar.secret_stores.aws_calls import AwsCalls
from pannier_sidecar.secret_stores.json_texts import texts_of
from pannier_sidecar.secret_stores.reading_all import read_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.catalogue import Setting

_PAGE: Final = 100
_CHOICES: Final = {"version_id": "VersionId", "version_stage": "VersionStage"}
"""Metadata of a request that chooses a version, and AWS's name for it."""


class SecretsManagerSecrets:
    """The secrets of one component. Implements `SecretServer`."""

    def __init__(self, settings: Mapping[str, Setting]):
        """Connect to nothing yet; call it in the event loop."""
        given = GivenSettings("secretstores.aws.secretmanager", settings)
        self._calls = AwsCalls("secretsmanager", "AWS Secrets Manager", given)
        self._has_keys = given.is_on("multipleKeyValuesPerSecret")
        self.capabilities: tuple[str, ...] = ("MULTIPLE_KEY_VALUES_PER_SECRET",) if self._has_keys else ()
        self.refresh_interval = given.number("refreshInterval")

    async def close(self) -> None:
        await self._calls.close()

    async def read(self, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return the texts of one secret by their keys; the key of a secret that is one text is its name in AWS."""
        chosen = {theirs: metadata[ours] for ours, theirs in _CHOICES.items() if metadata.get(ours)}
        answer = await self._calls.call("get_secret_value", name, SecretId=name, **chosen)
        found, text = answer.get("Name"), answer.get("SecretString")
        if text is None and "SecretBinary" in answer:
            raise SecretMissingError(f"the secret {quoted(name)} is binary; store it as text (SecretString)")
        if not isinstance(found, str) or not isinstance(text, str):
            raise self._calls.not_understood()
        return self._texts(found, text)

    def _texts(self, name: str, text: str) -> Mapping[str, str]:
        if self._has_keys:
            try:
                return texts_of(text.encode())
            except (DecodeError, RecursionError, UnicodeError):
                pass  # as in Dapr, what is no JSON object is one text
        return {name: text}

    async def read_all(self, metadata: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return every secret of the account and region by its name."""
        return await read_all(self._names, lambda name: self.read(name, {}), self._calls.where)

    async def _names(self) -> list[str]:
        return await self._calls.names("list_secrets", "SecretList", MaxResults=_PAGE)


def open_server(settings: Mapping[str, Setting]) -> SecretsManagerSecrets:
    """Return the secrets that a component's settings describe."""
    return SecretsManagerSecrets(settings)
