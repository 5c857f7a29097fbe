"""Keeps the webhooks' certificate in its Secret, serves it without a pause, and has the API server trust it.

`certificates.py` decides when it is renewed.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pannier_operator.cluster.api import WEBHOOKS
from pannier_operator.cluster.errors import ApiError
from pannier_operator.cluster.waiting import wait_for_event
from pannier_operator.webhook.certificate_process import decide, expiry_of
from pannier_operator.webhook.material import Keep, Material, names_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pannier_operator.cluster.api import ClusterApi
    from pannier_operator.metrics import Metrics
    from pannier_operator.objects.kinds import Secret
    from pannier_operator.settings import OperatorSettings
    from pannier_operator.webhook.material import Renew

logger = logging.getLogger(__name__)

_RETRY: Final = 2.0
_MAX_PAUSE: Final = 600.0
"""Seconds between checks of the Secret, however long its certificate lives: another replica may have renewed it."""
_SHARE: Final = 60
"""The Secret is checked this many times in a lifetime: one of minutes is checked every few seconds."""
_BETWEEN_CHANGES: Final = 1.0
"""Seconds between corrections, in case another party reverts each of them."""
_FOLDER_PAUSE: Final = 30.0
"""Seconds between reads of certificate files that others renew."""


class CertificateRotation:
    """Keeps `context` up to date, which the webhook server uses for every new connection."""

    def __init__(self, api: ClusterApi, settings: OperatorSettings, metrics: Metrics):
        self._api = api
        self._settings = settings
        self._metrics = metrics
        self._material: Material | None = None
        self._kept: tuple[object, datetime, Keep] | None = None
        """What the Secret held when it was last found to be as it should, when that was, and the decision."""
        self._changed = asyncio.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="pannier-")
        self._file = Path(self._folder.name, "tls.pem")
        """The certificate and its key: Python's `ssl` loads them from files only."""
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2

    async def first(self) -> None:
        """Wait until there is a certificate to serve."""
        while self._material is None:
            pause = await self._step()
            await asyncio.sleep(0 if self._material is not None else pause)

    async def run(self) -> None:
        """Renew the certificate and adopt renewed ones, until cancelled."""
        while True:
            self._changed.clear()
            pause = await self._step()
            await wait_for_event(self._changed, pause)

    async def watch_trust(self) -> None:
        """Check at once when another party has changed the CA bundles of our webhooks, until cancelled."""
        await asyncio.gather(*(self._watch_trust_of(plural) for plural in WEBHOOKS))

    async def _watch_trust_of(self, plural: str) -> None:
        while True:
            try:
                async for bundles in self._api.ca_bundles(plural, self._settings.webhook.configuration):
                    if self._has_other_than_ours(bundles):
                        self._changed.set()
                        await asyncio.sleep(_BETWEEN_CHANGES)
            except ApiError as error:
                logger.debug("The watch of %s has ended and begins again: %r", plural, error)
            await asyncio.sleep(_RETRY)

    def _has_other_than_ours(self, bundles: Iterable[str]) -> bool:
        material = self._material
        return (
            material is not None
            and self._manages_trust(material)
            and any(bundle != material.ca_bundle for bundle in bundles)
        )

    def _manages_trust(self, material: Material) -> bool:
        """Return whether the operator sets the CA bundles.

        If cert-manager mounts no authority, its cainjector sets them.
        """
        return not self._settings.certificate.folder or bool(material.authorities)

    def notify(self) -> None:
        """Check now: the Secret has changed."""
        self._changed.set()

    def close(self) -> None:
        self._folder.cleanup()

    def is_valid(self) -> bool:
        return self._material is not None and _days_left(self._material) > 0

    async def _step(self) -> float:
        """Check once; return the seconds until the next check."""
        try:
            if self._settings.certificate.folder:
                await self._adopt(await self._read(Path(self._settings.certificate.folder)))
                return _FOLDER_PAUSE
            return await self._reconcile_secret()
        except (ApiError, OSError, ValueError) as error:
            logger.warning("The webhooks' certificate could not be checked or renewed and is tried again: %s", error)
            return _RETRY

    async def _reconcile_secret(self) -> float:
        namespace, certificate = self._settings.operator.namespace, self._settings.certificate
        secret = await self._api.secret(namespace, certificate.secret)
        now = datetime.now(UTC)
        decision = await self._decide(secret, now)
        if not isinstance(decision, Keep):
            written = await self._api.write(decision.manifest)
            if written is not None:
                logger.info("Renewed the webhooks' certificate: %s", decision.why)
            return 0.0
        await self._adopt(decision.material)
        until = (decision.until - now) / timedelta(seconds=1)
        return max(1.0, min(until, certificate.lifetime / _SHARE, _MAX_PAUSE))

    async def _decide(self, secret: Secret | None, now: datetime) -> Keep | Renew:
        """Decide on the Secret, unless it holds what it held and the time to decide again has not come."""
        held = None if secret is None else (secret.get("data"), secret["metadata"].get("labels"))
        if self._kept is not None and self._kept[0] == held and self._kept[1] <= now < self._kept[2].until:
            return self._kept[2]
        own, certificate = self._settings.operator, self._settings.certificate
        names = names_of(own.service, own.namespace, own.cluster_domain)
        decision = await decide(secret, names, now, namespace=own.namespace, settings=certificate)
        self._kept = (held, now, decision) if isinstance(decision, Keep) else None
        return decision

    async def _read(self, folder: Path) -> Material:
        """Read the files that cert-manager mounts. Raises OSError, and ValueError for what is no certificate."""
        certificate, key, authorities = (folder / name for name in ("tls.crt", "tls.key", "ca.crt"))
        content, known = certificate.read_bytes(), self._material
        is_known = known is not None and known.certificate == content
        expires = known.expires if known is not None and is_known else await expiry_of(content)
        trusted = authorities.read_bytes() if authorities.exists() else b""
        return Material(content, key.read_bytes(), trusted, expires)

    async def _adopt(self, material: Material) -> None:
        """Have the API server trust the certificate, then serve it: in this order no call fails verification."""
        if self._manages_trust(material):
            await self._api.trust(self._settings.webhook.configuration, material.ca_bundle)
        if self._material is None or material.certificate != self._material.certificate:
            self._serve(material)
        self._material = material
        self._metrics.set("webhook_certificate_days_left", _days_left(material))

    def _serve(self, material: Material) -> None:
        """Serve the certificate on new connections; open ones keep theirs."""
        self._file.touch(mode=0o600)
        self._file.write_bytes(material.certificate + b"\n" + material.key)
        self.context.load_cert_chain(self._file)
        logger.info("Serving a certificate that is valid for %.1f more days", _days_left(material))


def _days_left(material: Material) -> float:
    return (material.expires - datetime.now(UTC)) / timedelta(days=1)
