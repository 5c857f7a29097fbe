"""What the webhooks' certificates are to those who use them, without the library that makes them."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from pannier_operator.objects.kinds import Secret


@dataclass(frozen=True)
class Material:
    """The certificates that the webhook server and its callers need, as PEM."""

    certificate: bytes
    key: bytes = field(repr=False)
    authorities: bytes
    """All trusted authorities; the one that signs comes first."""
    expires: datetime
    """When the certificate expires."""

    @property
    def ca_bundle(self) -> str:
        """The authorities as a webhook configuration's `caBundle`."""
        return base64.b64encode(self.authorities).decode("ascii")


@dataclass(frozen=True)
class Keep:
    """The Secret is as it should be."""

    material: Material
    until: datetime
    """When to decide again."""


@dataclass(frozen=True)
class Renew:
    """The Secret must be written, and then decided again. Never log it: it holds keys.

    `manifest` is for a create if there was none and for a replace otherwise. It carries the `resourceVersion` that was
    read, so of two replicas one gets a conflict and reads again.
    """

    manifest: Secret = field(repr=False)
    why: str


def names_of(service: str, namespace: str, cluster_domain: str) -> tuple[str, ...]:
    """Return the DNS names of a Service; the API server uses the first."""
    return f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.{cluster_domain}"
