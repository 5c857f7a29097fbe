"""The parameters of AWS Systems Manager by their names without the prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.given_settings import GivenSettings
from pannier_sidecar.secret_stores.aws_calls import AwsCalls
from pannier_sidecar.secret_stores.reading_all import read_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_crds.catalogue import Setting

_PAGE: Final = 50


class ParameterStoreSecrets:
    """The secrets of one component. Implements `SecretServer`."""

    capabilities: tuple[str, ...] = ()

    def __init__(self, settings: Mapping[str, Setting]):
        """Connect to nothing yet; call it in the event loop."""
        given = GivenSettings("secretstores.aws.parameterstore", settings)
        self._calls = AwsCalls("ssm", "AWS Parameter Store", given)
        self._prefix = given.text("prefix")
        self.refresh_interval = given.number("refreshInterval")

    async def close(self) -> None:
        await self._calls.close()

    async def read(self, name: str, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Return one parameter, decrypted, under its name. The metadata may name a `version_id`."""
        whole = self._prefix + name
        version = metadata.get("version_id")
        chosen = f"{whole}:{version}" if version else whole
        answer = await self._calls.call("get_parameter", name or whole, Name=chosen, WithDecryption=True)
        parameter = answer.get("Parameter")
        found = parameter.get("Name") if isinstance(parameter, dict) else None
        text = parameter.get("Value") if isinstance(parameter, dict) else None
        if not isinstance(found, str) or not isinstance(text, str):
            raise self._calls.not_understood()
        return {found.removeprefix(self._prefix): text}

    async def read_all(self, metadata: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
        """Return every parameter that has the prefix."""
        return await read_all(self._names, lambda name: self.read(name, {}), self._calls.where)

    async def _names(self) -> list[str]:
        only = {"Key": "Name", "Option": "BeginsWith", "Values": [self._prefix]}
        filters = {"ParameterFilters": [only]} if self._prefix else {}
        names = await self._calls.names("describe_parameters", "Parameters", MaxResults=_PAGE, **filters)
        return [name.removeprefix(self._prefix) for name in names]


def open_server(settings: Mapping[str, Setting]) -> ParameterStoreSecrets:
    """Return the secrets that a component's settings describe."""
    return ParameterStoreSecrets(settings)
