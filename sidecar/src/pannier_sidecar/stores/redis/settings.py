"""The component's metadata, with the checks that only this store can make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct

from pannier_crds.addresses.hosts import bracketed, host_list
from pannier_crds.given_settings import GivenSettings
from pannier_crds.secret import Secret, is_hidden
from pannier_sidecar.network.fields import read_field
from pannier_sidecar.network.tls import Encryption
from pannier_sidecar.state.errors import StoreRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    # This Struct is neither encoded nor decoded, so its annotations are never evaluated.
    from pannier_sidecar.clouds.aws import AwsProfile  # noqa: TC004
    from pannier_sidecar.clouds.azure_profile import AzureProfile  # noqa: TC004
    from pannier_sidecar.state.store import Setting

DEFAULT_PORT: Final = 6379


class Address(NamedTuple):
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{bracketed(self.host)}:{self.port}"


class HiddenAddress(Address):
    """An address that came from a secret or the environment, so that messages do not show it."""

    def __str__(self) -> str:
        return "the address in redisHost"


class Credentials(Struct, frozen=True):
    """The login; without a password none is sent."""

    username: str = ""
    password: Secret = Secret("")  # never changes

    def __repr__(self) -> str:
        return "Credentials(...)"  # settings may find their way into a log

    @property
    def login(self) -> tuple[str, ...]:
        """The command that signs in, with the password in plain text."""
        user = (self.username,) if self.username else ()
        return ("AUTH", *user, self.password.reveal())


class Provider(Struct, frozen=True):
    """A credential provider of redis-py, which the component names."""

    name: str
    """`module:Class`; the sidecar's owner has listed it."""
    arguments: Secret
    """A JSON object of keyword arguments; empty: none."""
    interval: float
    """Seconds after which it is asked again, unless it has said how long its credentials live."""


class RedisSettings(Struct, frozen=True):
    """The component's settings, with defaults; the names are those of Dapr's `state.redis` metadata."""

    addresses: tuple[Address, ...]
    """redisHost: the server, or the Sentinels, or some nodes of the Cluster."""
    credentials: Credentials
    sentinel_credentials: Credentials
    profile: AzureProfile | AwsProfile | None
    """Whose tokens sign in to servers, but not to Sentinels; None: `credentials` do."""
    provider: Provider | None
    """What gives the credentials for servers, but not for Sentinels; None: nothing of a user's does."""
    cache_name: str
    """The name for which AWS credentials sign tokens."""
    is_serverless_cache: bool
    database: int
    is_cluster: bool
    master_name: str | None
    """sentinelMasterName; None: there are no Sentinels."""
    encryption: Encryption | None
    dial_timeout: float
    """Seconds to connect and sign in, and that a call waits for a connection."""
    read_timeout: float
    """Seconds that a server may be silent while it owes an answer; after that it counts as gone."""
    write_timeout: float
    """Seconds that a call waits for room on a connection whose server does not read."""
    max_retries: int
    """How often a call that may be repeated is sent again after its connection was lost."""
    min_pause: float
    """Seconds; the first pause between attempts to connect. It doubles with each attempt."""
    max_pause: float
    """Seconds; the maximum of these pauses."""
    pushes_changes: bool
    """Whether feeds have the servers push changes; False: all ETags are read again from time to time."""


def read_settings(settings: Mapping[str, Setting]) -> RedisSettings:
    """Return the settings. Raises StoreRefusedError, which names the field and says what to write."""
    given = GivenSettings("state.redis", settings)
    by_sentinel = given.is_on("failover")
    return RedisSettings(
        addresses=_addresses(given),
        credentials=_credentials(given, "redis"),
        sentinel_credentials=_credentials(given, "sentinel"),
        profile=_profile(given),
        provider=_provider(given),
        cache_name=given.text("cacheName"),
        is_serverless_cache=given.is_on("isServerlessCache"),
        database=given.whole_number("redisDB"),
        is_cluster=given["redisType"] == "cluster" and not by_sentinel,
        master_name=_master_name(given) if by_sentinel else None,
        encryption=Encryption.read(given) if given.is_on("enableTLS") else None,
        dial_timeout=given.positive_number("dialTimeout"),
        read_timeout=given.positive_number("readTimeout"),
        write_timeout=given.positive_number("writeTimeout"),
        max_retries=max(0, given.whole_number("redisMaxRetries")),
        min_pause=given.positive_number("redisMinRetryInterval"),
        max_pause=given.positive_number("redisMaxRetryInterval"),
        pushes_changes=given["changes"] == "push",
    )


def _profile(given: GivenSettings) -> AzureProfile | AwsProfile | None:
    if not given.is_on("useEntraID") and not given.is_on("useAWSIAM"):
        return None
    from pannier_sidecar.clouds.database_tokens import read_profile  # few components sign in so

    return read_profile(given, "useEntraID")


def _provider(given: GivenSettings) -> Provider | None:
    name = given.text("credentialProvider")
    if not name:
        return None
    interval = given.positive_number("credentialProviderInterval")
    return Provider(name, given.secret("credentialProviderArguments"), interval)


def _credentials(given: GivenSettings, whose: str) -> Credentials:
    return Credentials(given.text(f"{whose}Username"), given.secret(f"{whose}Password"))


def _master_name(given: GivenSettings) -> str:
    name = given.text("sentinelMasterName")
    if not name:
        raise StoreRefusedError(
            "failover is true but sentinelMasterName is empty; write the name that the Sentinels monitor, like mymaster"
        )
    return name


def _addresses(given: GivenSettings) -> tuple[Address, ...]:
    text = given["redisHost"]
    if not given.text("redisHost").strip(" ,"):
        raise StoreRefusedError("redisHost is empty; write host or host:port, several separated by commas")
    default_port = None if given["redisPort"] is None else given.whole_number("redisPort")
    kind = HiddenAddress if is_hidden(text) else Address
    found = []
    for host, port in read_field("redisHost", text, host_list):
        if default_port not in (None, port) and port is not None:
            raise StoreRefusedError(
                f"redisHost says port {port} and redisPort says {default_port}; take one of them out"
            )
        found.append(kind(host, port or default_port or DEFAULT_PORT))
    return tuple(found)
