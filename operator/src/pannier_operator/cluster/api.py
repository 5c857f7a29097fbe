"""The calls that the operator makes to the Kubernetes API, over plain dicts. What to call is decided elsewhere."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from lightkube import ALL_NS, AsyncClient
from lightkube.core.exceptions import ApiError
from lightkube.core.resource import ApiInfo, ResourceDef
from lightkube.generic_resource import GenericNamespacedStatus, create_global_resource, create_namespaced_resource
from lightkube.operators import not_in
from lightkube.types import PatchType

from pannier_operator.status.conditions import STATUS_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping

__all__ = ["FIELD_MANAGER", "SECRETS_FIELD_SELECTOR", "ApiError", "ClusterApi", "is_ending", "reason_of", "status_of"]

logger = logging.getLogger(__name__)

Manifest = dict[str, Any]

FIELD_MANAGER: Final = "pannier-operator"
UNWATCHED_SECRETS: Final = ("helm.sh/release.v1", "kubernetes.io/service-account-token")
"""Types that no component refers to; a cluster may hold hundreds of MB of the first."""
SECRETS_FIELD_SELECTOR: Final = ",".join(f"type!={name}" for name in UNWATCHED_SECRETS)
_CHUNK: Final = 200
"""Objects in one answer to a list call: all pods of a cluster together may take hundreds of MB."""
_REASON: Final = re.compile(r"[A-Za-z]{1,40}")
_LACKING_RIGHT: Final = re.compile(r'cannot ([a-z]{1,20}) resource "([a-z./-]{1,100})"')
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_TOO_MANY_REQUESTS: Final = 429

_Component = create_namespaced_resource("dapr.io", "v1alpha1", "Component", "components")
_Pod = create_namespaced_resource("", "v1", "Pod", "pods")
_Secret = create_namespaced_resource("", "v1", "Secret", "secrets")
_Event = create_namespaced_resource("", "v1", "Event", "events")
_Lease = create_namespaced_resource("coordination.k8s.io", "v1", "Lease", "leases")
_Namespace = create_global_resource("", "v1", "Namespace", "namespaces")
_ReplicaSet = create_namespaced_resource("apps", "v1", "ReplicaSet", "replicasets")
_Job = create_namespaced_resource("batch", "v1", "Job", "jobs")
_LimitRange = create_namespaced_resource("", "v1", "LimitRange", "limitranges")
_ResourceQuota = create_namespaced_resource("", "v1", "ResourceQuota", "resourcequotas")
_OWNERS: Final = {"ReplicaSet": _ReplicaSet, "Job": _Job}
WEBHOOKS: Final = {
    plural: create_global_resource("admissionregistration.k8s.io", "v1", f"{kind}WebhookConfiguration", plural)
    for kind, plural in (
        ("Validating", "validatingwebhookconfigurations"),
        ("Mutating", "mutatingwebhookconfigurations"),
    )
}
"""The configurations that name our webhooks, by their resource."""
_WATCHED_FOR: Final = 300
"""Seconds until the API server ends a watch, so that one whose connection has died is noticed."""
_LISTED: Final = {"components": _Component, "pods": _Pod, "secrets": _Secret}


class _Eviction(GenericNamespacedStatus):
    """A pod's subresource: asks for its end, and PodDisruptionBudgets are asked first."""

    _api_info = ApiInfo(
        resource=ResourceDef("policy", "v1", "Eviction"),
        parent=ResourceDef("", "v1", "Pod"),
        plural="pods",
        verbs=["post"],
        action="eviction",
    )


class ClusterApi:
    """One connection pool. Every method raises lightkube's ApiError, or an httpx2 error where nothing answers."""

    def __init__(self, client: AsyncClient):
        self._client = client

    async def close(self) -> None:
        await self._client.close()

    async def server_info(self) -> Manifest:
        """The answer to GET /version, for which lightkube has no call of its own."""
        answer = await self._client._client._client.get("version")
        answer.raise_for_status()
        info: Manifest = answer.json()
        return info

    async def everything(self, plural: str, namespaces: Collection[str], take: Callable[[Manifest], object]) -> int:
        """Give `take` all components, pods or secrets of these namespaces (no names: of every namespace), one by one:
        together they may be hundreds of MB. The version of the collection, newer than that of every object."""
        fields: Any = {"type": not_in(UNWATCHED_SECRETS)} if plural == "secrets" else None
        versions = []
        for namespace in namespaces or (ALL_NS,):
            found = self._client.list(
                _LISTED[plural],
                namespace=namespace,
                chunk_size=_CHUNK,
                fields=fields,
            )
            async for item in found:
                take(dict(item))
            versions.append(int(found.resourceVersion or 0))
        return min(versions)

    async def components_in(self, namespace: str) -> list[Manifest]:
        return [dict(item) async for item in self._client.list(_Component, namespace=namespace)]

    async def namespace_labels(self, name: str) -> Mapping[str, str]:
        namespace = await self._client.get(_Namespace, name)
        return (namespace.get("metadata") or {}).get("labels") or {}

    async def bounds_of(self, namespace: str) -> tuple[list[Manifest], list[Manifest]]:
        """The namespace's LimitRanges and ResourceQuotas."""
        ranges = [dict(item) async for item in self._client.list(_LimitRange, namespace=namespace)]
        return ranges, [dict(item) async for item in self._client.list(_ResourceQuota, namespace=namespace)]

    async def secret(self, namespace: str, name: str) -> Manifest | None:
        return await self._found(_Secret, namespace, name)

    async def pod(self, namespace: str, name: str) -> Manifest | None:
        return await self._found(_Pod, namespace, name)

    async def lease(self, namespace: str, name: str) -> Manifest | None:
        return await self._found(_Lease, namespace, name)

    async def owner_above(self, namespace: str, owner: Mapping[str, Any]) -> Manifest | None:
        """Return the reference to what made a ReplicaSet or a Job: a Deployment, a CronJob; None where nothing did."""
        kind = _OWNERS.get(owner.get("kind", ""))
        found = await self._found(kind, namespace, owner["name"]) if kind is not None else None
        if found is None or found["metadata"].get("uid") != owner.get("uid"):
            return None
        return next(iter(found["metadata"].get("ownerReferences") or ()), None)

    async def _found(self, kind: Any, namespace: str, name: str) -> Manifest | None:
        try:
            return dict(await self._client.get(kind, name, namespace=namespace))
        except ApiError as error:
            if status_of(error) == _NOT_FOUND:
                return None
            raise

    async def write(self, kind: str, manifest: Mapping[str, Any]) -> Manifest | None:
        """Create, or replace what has a resourceVersion; None when somebody else was faster."""
        resource: Any = {"Secret": _Secret, "Lease": _Lease}[kind]
        metadata = manifest["metadata"]
        call: Any = self._client.replace if metadata.get("resourceVersion") else self._client.create
        try:
            return dict(await call(resource(manifest), namespace=metadata["namespace"]))
        except ApiError as error:
            if status_of(error) == _CONFLICT:
                return None
            raise

    async def delete_secret(self, secret: Mapping[str, Any]) -> bool:
        """Delete it as it was seen; False when it has changed since and stays. lightkube sends no preconditions."""
        metadata = secret["metadata"]
        preconditions = {name: metadata[name] for name in ("uid", "resourceVersion")}
        answer = await self._client._client._client.request(
            "DELETE",
            f"api/v1/namespaces/{metadata['namespace']}/secrets/{metadata['name']}",
            json={"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions},
        )
        if answer.status_code == _CONFLICT:
            return False
        if answer.is_error and answer.status_code != _NOT_FOUND:
            raise ApiError(request=answer.request, response=answer)
        return True

    async def write_status(self, component: Mapping[str, Any], status: Mapping[str, object]) -> Manifest | None:
        """The Component as it is then; None when it has gone.

        Where the definition of Components has no status (Dapr's has none) it is kept in an annotation.
        """
        metadata = component["metadata"]
        changes = {"metadata": {"uid": metadata["uid"]}, "status": status}
        written = await self._patched(_Component.Status, metadata, changes)
        if written is not None or await self._found(_Component, metadata["namespace"], metadata["name"]) is None:
            return written
        annotations = {STATUS_ANNOTATION: json.dumps(status)}
        changes = {"metadata": {"uid": metadata["uid"], "annotations": annotations}}
        return await self._patched(_Component, metadata, changes)

    async def annotate_pod(self, pod: Mapping[str, Any], annotations: Mapping[str, str]) -> Manifest | None:
        """The pod as it is then; None when it has gone."""
        metadata = pod["metadata"]
        changes = {"metadata": {"uid": metadata["uid"], "annotations": dict(annotations)}}
        return await self._patched(_Pod, metadata, changes)

    async def _patched(self, kind: Any, metadata: Mapping[str, Any], changes: Manifest) -> Manifest | None:
        """With the uid, so that an object of the same name that came after it is left alone."""
        try:
            return dict(
                await self._client.patch(
                    kind,
                    metadata["name"],
                    changes,
                    namespace=metadata["namespace"],
                    patch_type=PatchType.MERGE,
                    field_manager=FIELD_MANAGER,
                )
            )
        except ApiError as error:
            if status_of(error) in (_NOT_FOUND, _CONFLICT):
                return None
            raise

    async def create_event(self, event: Manifest) -> None:
        """Nothing happens when it is there already. One that is refused, by a quota say, is no reason to stop."""
        create: Any = self._client.create
        try:
            await create(_made(_Event, event), namespace=event["metadata"]["namespace"])
        except ApiError as error:
            if status_of(error) not in (_CONFLICT, _NOT_FOUND) and not is_ending(error):
                logger.warning("Event %s cannot be written (HTTP status %d)", event["reason"], status_of(error))

    async def evict(self, pod: Mapping[str, Any]) -> bool:
        """Ask for the pod's end; False when a PodDisruptionBudget does not allow it now, or it has gone."""
        metadata = pod["metadata"]
        eviction = {
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
        }
        create: Any = self._client.create
        try:
            await create(_made(_Eviction, eviction), metadata["name"], namespace=metadata["namespace"])
        except ApiError as error:
            if status_of(error) not in (_TOO_MANY_REQUESTS, _NOT_FOUND, _CONFLICT):
                name = f"{metadata['namespace']}/{metadata['name']}"
                logger.warning("Pod %s cannot be evicted (HTTP status %d)", name, status_of(error))
            return False
        return True

    async def ca_bundles(self, plural: str, configuration: str) -> AsyncIterator[list[str]]:
        """The authorities that a configuration's webhooks trust, now and whenever it changes, until the watch ends."""
        fields: Any = {"metadata.name": configuration}
        # From version 0: an API server's cache of what seldom changes may lag behind the version of its database for
        # long, and a watch from the latest version would be refused until it does not (with etcd before 3.4.25: ever).
        found: Any = self._client.watch(
            WEBHOOKS[plural], fields=fields, server_timeout=_WATCHED_FOR, resource_version="0"
        )
        try:
            while True:
                async with asyncio.timeout(2 * _WATCHED_FOR):
                    change, each = await anext(found, ("", None))
                if each is None:
                    return
                if change != "DELETED":
                    webhooks = each.get("webhooks") or ()
                    yield [(webhook.get("clientConfig") or {}).get("caBundle") or "" for webhook in webhooks]
        finally:
            await found.aclose()

    async def trust(self, configuration: str, ca_bundle: str) -> None:
        """Let the API server trust this authority when it calls our webhooks."""
        for kind in WEBHOOKS.values():
            try:
                found = await self._client.get(kind, configuration)
            except ApiError as error:
                if status_of(error) == _NOT_FOUND:
                    continue
                raise
            await self._trust(kind, configuration, found.get("webhooks") or [], ca_bundle)

    async def _trust(self, kind: Any, name: str, webhooks: list[Manifest], ca_bundle: str) -> None:
        changes: list[Manifest] = []
        for index, webhook in enumerate(webhooks):
            if (webhook.get("clientConfig") or {}).get("caBundle") != ca_bundle:
                changes += [
                    {"op": "test", "path": f"/webhooks/{index}/name", "value": webhook["name"]},
                    {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": ca_bundle},
                ]
        if changes:
            await self._client.patch(kind, name, changes, patch_type=PatchType.JSON, field_manager=FIELD_MANAGER)


def is_ending(error: ApiError) -> bool:
    """Whether it was refused because the namespace is being deleted, and everything in it."""
    return status_of(error) == _FORBIDDEN and "is being terminated" in str(error)


def reason_of(error: Exception) -> str:
    """Why a call failed, for logs and refusals. The API server's own words are not repeated: they may quote what was
    sent to it, and an admission webhook of somebody else's may put anything into them."""
    if not isinstance(error, ApiError):
        return str(error) or type(error).__name__
    word = str(error.status.reason or "")
    reason = f"HTTP status {status_of(error)}" + (f" {word}" if _REASON.fullmatch(word) else "")
    lacking = _LACKING_RIGHT.search(str(error))
    return f"{reason}: the operator has no right to {lacking[1]} {lacking[2]}" if lacking else reason


def _made(kind: Any, manifest: Manifest) -> Any:
    """lightkube takes a dict here, and says otherwise."""
    return kind(manifest)


def status_of(error: ApiError) -> int:
    """The HTTP status."""
    return error.response.status_code if error.response is not None else int(error.status.code or 0)
