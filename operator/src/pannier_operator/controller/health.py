"""Whether this replica is alive and ready, as lists of problems: an empty list means healthy."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pannier_operator.cluster.cache import ClusterCache
    from pannier_operator.cluster.resync import Resync
    from pannier_operator.webhook.rotation import CertificateRotation


class Health:
    """Checks the parts of one replica for its probes."""

    def __init__(self, cache: ClusterCache, resync: Resync, certificate: CertificateRotation, webhook_port: int):
        self._cache = cache
        self._resync = resync
        self._certificate = certificate
        self._webhook_port = webhook_port
        self._trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default context would read every authority
        self._trusting.check_hostname = False
        self._trusting.verify_mode = ssl.CERT_NONE
        self.tasks: Sequence[asyncio.Task[None]] = ()
        """The control plane's parts; none may end. Empty until they are started."""
        self.is_leaving = False
        """Whether SIGTERM has come."""

    async def liveness(self) -> list[str]:
        """Return the problems that only a restart can solve."""
        problems = self._resync.problems()
        problems += [f"a part has ended: {task.exception()!r}" for task in self.tasks if _has_failed(task)]
        if self.tasks and not self.is_leaving:
            problems += await self._webhook_problems()
        return problems

    async def readiness(self) -> list[str]:
        """Return what keeps this replica from answering webhooks."""
        if self.is_leaving:
            return ["leaving"]
        problems = [] if self._certificate.is_valid() else ["there is no valid certificate"]
        problems += [] if self._cache.is_filled else ["the cluster has not been listed yet"]
        return problems + await self._webhook_problems()

    async def _webhook_problems(self) -> list[str]:
        """Make a TLS handshake with our own webhook server, as the API server does."""
        port = self._webhook_port
        try:
            async with asyncio.timeout(3):
                _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=self._trusting)
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            return [f"the webhook server on port {port} does not answer: {error or 'no answer in 3 s'}"]
        return []


def _has_failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None
