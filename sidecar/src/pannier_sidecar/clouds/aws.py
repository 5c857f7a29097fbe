"""The AWS profile of a component: how it signs in, and clients that do so.

The credentials are, in Dapr's order: the component's keys; those of the role that it assumes; those that AWS gives the
environment, the profile, the pod (EKS Pod Identity, IRSA) or the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.credentials import (
    AioAssumeRoleCredentialFetcher,
    AioDeferredRefreshableCredentials,
    create_credential_resolver,
)
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import NoCredentialsError, NoRegionError
from botocore.loaders import Loader, create_loader

from pannier_crds.addresses.hosts import full_url
from pannier_crds.secret import Secret, reveal
from pannier_sidecar.network.connections import Connections
from pannier_sidecar.network.fields import read_field, shown_addresses
from pannier_sidecar.network.http_answers import BoundedResponse, bounded

from .aws_answers import StrictParsers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AsyncExitStack

    from pannier_crds.given_settings import GivenSettings

_STS_CONNECTIONS: Final = 2


@dataclass(frozen=True, slots=True)
class AwsProfile:
    """The fields of `catalogue/aws_profile.py`, typed."""

    region: str | None
    endpoint: str | None
    access_key: Secret | None
    secret_key: Secret | None
    session_token: Secret | None
    role: str
    """ARN of the role to assume; empty: none."""
    session_name: str


def read_profile(given: GivenSettings) -> AwsProfile:
    """Return the profile."""
    return AwsProfile(
        region=given.text("region") or None,
        endpoint=reveal(given.get("endpoint")) or None,
        access_key=given.secret("accessKey") or None,
        secret_key=given.secret("secretKey") or None,
        session_token=given.secret("sessionToken") or None,
        role=given.text("assumeRoleArn"),
        session_name=given.text("sessionName"),
    )


def where(service: str, given: GivenSettings) -> str:
    """Return a service for messages, with its endpoint if one is given. Raises StoreRefusedError for an invalid one."""
    endpoint = given["endpoint"]
    if not endpoint:
        return service
    scheme, address = read_field("endpoint", endpoint, full_url)
    return f"{service} at {shown_addresses('endpoint', endpoint, (f'{scheme}://{address}',))}"


async def open_client(
    service: str, profile: AwsProfile, connections: Connections, seconds: float, resources: AsyncExitStack
) -> Any:
    """Return a client of a service (`dynamodb`), which lives until `resources` are closed; nothing is sent yet.

    It makes each call once, within that many seconds. Raises `aws_answers.CLIENT_ERRORS` and ValueError.
    """
    session = _session(profile, seconds, resources)
    client = session.create_client(
        service,
        region_name=profile.region,
        endpoint_url=profile.endpoint,
        aws_access_key_id=reveal(profile.access_key) or None,
        aws_secret_access_key=reveal(profile.secret_key) or None,
        aws_session_token=reveal(profile.session_token) or None,
        config=_config(connections, seconds),
    )
    return await resources.enter_async_context(client)


async def open_signer(profile: AwsProfile, seconds: float, resources: AsyncExitStack) -> Signer:
    """Return what signs URLs as the profile says, which lives until `resources` are closed.

    A request for the credentials of a role takes at most that many seconds. Raises CLIENT_ERRORS and ValueError.
    """
    session = _session(profile, seconds, resources)
    if profile.access_key:
        session.set_credentials(
            profile.access_key.reveal(), reveal(profile.secret_key), reveal(profile.session_token) or None
        )
    return Signer(session, profile.region or session.get_config_variable("region"))


class Signer:
    """Signs URLs with the credentials of a session, which are renewed before they end."""

    def __init__(self, session: AioSession, region: str | None):
        self._session = session
        self._region = region

    async def sign(self, service: str, url: str, parameters: Mapping[str, str], seconds: int) -> str:
        """Return a URL for a GET with the parameters and a signature (SigV4), which is valid for that many seconds.

        Raises `aws_answers.CLIENT_ERRORS`.
        """
        if not self._region:
            raise NoRegionError
        credentials = await self._session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        request = AWSRequest("GET", url, params=dict(parameters))
        frozen = await credentials.get_frozen_credentials()
        SigV4QueryAuth(frozen, service, self._region, expires=seconds).add_auth(request)
        return str(request.prepare().url)


def _session(profile: AwsProfile, seconds: float, resources: AsyncExitStack) -> AioSession:
    """Return a session that finds the credentials of the profile, unless it has keys."""
    session = AioSession()
    session.register_component("data_loader", _descriptions())
    session.register_component("response_parser_factory", StrictParsers())
    if profile.role and not profile.access_key:
        of_sts = Connections(_STS_CONNECTIONS, seconds)
        resources.callback(of_sts.close)
        session.register_component("credential_provider", _AssumedRole(session, profile, _config(of_sts, seconds)))
    return session


def _config(connections: Connections, timeout: float) -> AioConfig:
    return AioConfig(
        connect_timeout=timeout,
        read_timeout=timeout,
        max_pool_connections=connections.limit,
        parameter_validation=False,  # all arguments are made here
        retries={"total_max_attempts": 1},
        tcp_keepalive=True,
        warm_up_loader_caches=True,  # a thread reads the client's descriptions of AWS
        http_session_cls=_counting(connections),
    )


class _AssumedRole:
    """Provides the credentials of a role, and gets new ones before they end."""

    def __init__(self, session: AioSession, profile: AwsProfile, config: AioConfig):
        self._source = create_credential_resolver(session, region_name=profile.region)
        self._sts = partial(session.create_client, region_name=profile.region, config=config)
        self._profile = profile

    async def load_credentials(self) -> Any:
        source = await self._source.load_credentials()
        if source is None:
            return None
        fetcher = AioAssumeRoleCredentialFetcher(
            client_creator=self._sts,
            source_credentials=source,
            role_arn=self._profile.role,
            extra_args={"RoleSessionName": self._profile.session_name},
        )
        return AioDeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _counting(connections: Connections) -> type[AIOHTTPSession]:
    """Return the client's kind of session, with connections that are counted and answers that are bounded."""

    class Session(AIOHTTPSession):  # type: ignore[misc]  # it has no types
        async def _create_connector(self, proxy_url: str | None) -> Any:
            self._connector_args["socket_factory"] = connections.make_socket
            return bounded(await super()._create_connector(proxy_url))

        async def _get_session(self, proxy_url: str | None) -> Any:
            session = await super()._get_session(proxy_url)
            session._response_class = BoundedResponse  # noqa: SLF001  # the client library makes the session itself
            return session

    return Session


@cache
def _descriptions() -> Loader:
    """Return botocore's descriptions of AWS, read only once: reading them costs more than the rest of making
    a client.
    """
    return create_loader()
