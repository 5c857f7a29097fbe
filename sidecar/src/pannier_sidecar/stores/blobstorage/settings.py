"""The component's metadata, with the checks that only this store can make."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pannier_crds.addresses.azure_storage import Account
from pannier_crds.catalogue.azure_account import CLOUDS
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import shown
from pannier_sidecar.clouds.azure_profile import AzureProfile, read_profile
from pannier_sidecar.network.azure_storage import read_account
from pannier_sidecar.network.fields import shown_addresses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pannier_sidecar.state.store import Setting


class BlobStorageSettings(Struct, frozen=True):
    """The component's settings, with defaults."""

    account: Account
    """Without key and SAS: calls are signed by a token of Entra ID."""
    profile: AzureProfile
    """How to sign in with Entra ID."""
    container: str
    public_access: str
    """Empty: nobody may read without a key."""
    may_create: bool
    """Whether a container that does not exist is created."""
    timeout: float
    """Seconds that a call may take."""
    where: str
    """Names the account in messages, and shows nothing that came from a secret."""
    what: str
    """Names the container in messages."""

    def __repr__(self) -> str:
        return f"BlobStorageSettings({self.what!r}, ...)"  # settings may find their way into a log


def read_settings(settings: Mapping[str, Setting]) -> BlobStorageSettings:
    """Return the settings. Raises StoreRefusedError, which names the field and says what to write."""
    given = GivenSettings("state.azure.blobstorage", settings)
    profile = read_profile(given)
    account, field = _account(given, profile.cloud)
    where = f"Azure Blob Storage at {shown_addresses(field, given[field], (account.url,))}"
    access = str(given["publicAccessLevel"])
    return BlobStorageSettings(
        account=account,
        profile=profile,
        container=given.text("containerName"),
        public_access="" if access == "none" else access,
        may_create=not given.is_on("disableEntityManagement"),
        timeout=given.number("timeout"),
        where=where,
        what=f"container {shown(given['containerName'], 'containerName')} of {where}",
    )


def _account(given: GivenSettings, cloud: str) -> tuple[Account, str]:
    """Return the account, and the field that says where it is."""
    account, field = read_account(given, "blob", "endpoint", f"blob.{CLOUDS[cloud]}")
    if field == "endpoint":
        account = account._replace(url=account.url._replace(path=f"{account.url.path}/{account.name}"))
    return account, field
