"""What AWS answers: a parser for the client, and what the client's errors mean."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from aiobotocore.parsers import AioJSONParser, AioQueryParser, AioResponseParserFactory
from aiohttp import ClientConnectorError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProxyConnectionError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from pannier_sidecar.network.reasons import reason

CLIENT_ERRORS: Final = (BotoCoreError, ClientError)
CHECK_KEYS: Final = "check accessKey, secretKey and sessionToken, or the role that stands for them"
BAD_CREDENTIALS: Final = frozenset(
    {
        "ExpiredTokenException",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)
_NO_CREDENTIALS: Final = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
_ASSUMING: Final = ("AssumeRole", "AssumeRoleWithWebIdentity")


class NotUnderstoodError(BotoCoreError):  # type: ignore[misc]  # it has no types
    """The answer is not one of AWS's."""


class _Strict:
    """Raises NotUnderstoodError for what is not an answer of AWS."""

    async def parse(self, response: Any, shape: Any) -> Any:
        try:
            return await super().parse(response, shape)  # type: ignore[misc]  # of the client's parser
        except (AttributeError, LookupError, RecursionError, ResponseParserError, TypeError, ValueError) as error:
            raise NotUnderstoodError from error


class _StrictJSON(_Strict, AioJSONParser):  # type: ignore[misc]  # it has no types
    """The client's own parser reads a body that is not JSON as an answer without fields, so a proxy's page would
    acknowledge a write.
    """

    def _handle_json_body(self, raw_body: bytes, shape: Any) -> Any:
        body = json.loads(raw_body)
        if not isinstance(body, dict):
            raise NotUnderstoodError
        return self._parse_shape(shape, body)


class _StrictQuery(_Strict, AioQueryParser):  # type: ignore[misc]  # it has no types
    """STS answers so."""


_PARSERS: Final = {"json": _StrictJSON, "query": _StrictQuery}


class StrictParsers(AioResponseParserFactory):  # type: ignore[misc]  # it has no types
    """Makes the parsers of the services that Pannier calls."""

    def create_parser(self, protocol_name: str) -> Any:
        strict = _PARSERS.get(protocol_name)
        return strict(**self._defaults) if strict is not None else super().create_parser(protocol_name)


def code(error: Exception) -> str:
    """Return the code of AWS; empty for an error that AWS did not send."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def status(error: Exception) -> int:
    """Return the status of AWS's answer; 0 for an error that AWS did not send."""
    if not isinstance(error, ClientError):
        return 0
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def kind(error: Exception) -> str:
    """Return the kind of an error: AWS's code if it looks like one, or the name of the client's class."""
    found = code(error)
    return found if re.fullmatch(r"[A-Z][A-Za-z.]{2,80}", found) else type(error).__name__


def was_not_sent(error: Exception) -> bool:
    """Return whether a call has certainly not reached AWS."""
    if isinstance(error, EndpointConnectionError):
        return isinstance(error.kwargs.get("error"), ClientConnectorError)
    return isinstance(error, (ConnectTimeoutError, ProxyConnectionError, SSLError))


def why(error: Exception) -> str:
    """Return half a sentence on why a call was not done."""
    if isinstance(error, ClientError):
        return kind(error)
    if isinstance(error, ConnectTimeoutError):
        return "it does not answer"
    inner = error.kwargs.get("error") if isinstance(error, BotoCoreError) else None
    inner = getattr(inner, "certificate_error", None) or getattr(inner, "os_error", None) or inner
    return reason(inner) if isinstance(inner, BaseException) else kind(error)


def wrong_profile(error: Exception) -> str:
    """Return what is wrong with the component's AWS profile, with advice; empty if the error has another cause."""
    if isinstance(error, NoRegionError):
        return "no AWS region is known; set region, such as eu-central-1"
    if isinstance(error, _NO_CREDENTIALS):
        return (
            "no AWS credentials were found; set accessKey and secretKey, or give the pod's service "
            "account a role (EKS Pod Identity or IRSA)"
        )
    if isinstance(error, ClientError) and error.operation_name in _ASSUMING and status(error) < 500:
        return (
            f"AWS did not let the role be assumed ({kind(error)}); check assumeRoleArn, and let the role's trust "
            "policy name this identity"
        )
    return ""
