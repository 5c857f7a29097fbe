"""The errors of the Secrets API. None of them holds any part of a secret."""

from __future__ import annotations

from .codes import GrpcCode
from .of_calls import StateError


class _SecretError(StateError):
    """Dapr's answers about secrets have no details."""

    has_dapr_http_details = False
    has_dapr_grpc_details = False


class SecretStoresNotConfiguredError(_SecretError):
    """The app sees no secret store at all."""

    code = "ERR_SECRET_STORES_NOT_CONFIGURED"
    http_status = 400
    dapr_http_status = 500
    grpc_code = GrpcCode.FAILED_PRECONDITION

    def __init__(self, advice: str) -> None:
        super().__init__("secret store is not configured", advice)


class SecretStoreNotFoundError(_SecretError):
    """The app sees no secret store of this name."""

    code = "ERR_SECRET_STORE_NOT_FOUND"
    http_status = 400
    dapr_http_status = 401  # so that SDKs written against Dapr see the status that they know
    grpc_code = GrpcCode.INVALID_ARGUMENT

    def __init__(self, store: str, advice: str) -> None:
        super().__init__(f"failed finding secret store with key {store}", advice)


class SecretDeniedError(_SecretError):
    """The Configuration does not let the app read this secret."""

    code = "ERR_PERMISSION_DENIED"
    http_status = 403
    grpc_code = GrpcCode.PERMISSION_DENIED

    def __init__(self, store: str, name: str) -> None:
        what = f'access denied by policy to get "{name}" from "{store}"'
        super().__init__(what, "spec.secrets.scopes of the sidecar's Configuration says which secrets may be read")


class SecretFailedError(_SecretError):
    """A secret store could not answer; `why` is in Pannier's words."""

    code = "ERR_SECRET_GET"

    def __init__(self, store: str, name: str | None, why: str) -> None:
        """Report a failed read of one secret, or of all if `name` is None."""
        what = "failed getting secrets from" if name is None else f"failed getting secret with key {name} from"
        super().__init__(f"{what} secret store {store}: {why}")


class SecretNotFoundError(SecretFailedError):
    """The store has no such secret. Dapr answers as for any other failure."""

    http_status = 404
    dapr_http_status = 500
    grpc_code = GrpcCode.NOT_FOUND
    dapr_grpc_code = GrpcCode.INTERNAL

    def __init__(self, store: str, name: str | None, why: str) -> None:
        super().__init__(store, name, why)
        if name is not None:
            self.dapr_message = (
                f"failed getting secret with key {name} from secret store {store}: secret {name} not found"
            )


class SecretStoreUnavailableError(SecretFailedError):
    """The store cannot be reached now. Dapr answers as for any other failure."""

    http_status = 503
    dapr_http_status = 500
    grpc_code = GrpcCode.UNAVAILABLE
    dapr_grpc_code = GrpcCode.INTERNAL
    retry_after = 1
