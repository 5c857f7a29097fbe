"""The calls that the operator makes to the Kubernetes API. Other modules decide what to call.

The answers of the API server get the types of `objects.kinds` here.
"""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pannier_operator.cluster.client import JSON_PATCH, MERGE_PATCH
from pannier_operator.cluster.errors import CONFLICT, NOT_FOUND, TOO_MANY_REQUESTS, ApiRefusedError
from pannier_operator.status.findings import STATUS_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping

    from pannier_operator.cluster.client import KubernetesClient
    from pannier_operator.objects import kinds, pod_kinds

logger = logging.getLogger(__name__)

K = TypeVar("K", bound="kinds.Object")
C = TypeVar("C", bound="kinds.Configured")

FIELD_MANAGER: Final = "pannier-operator"
UNWATCHED_SECRETS: Final = ("helm.sh/release.v1", "kubernetes.io/service-account-token")
"""Types of Secrets that are not watched: no component refers to them, and a cluster may hold hundreds of MB of the
first.
"""
SECRETS_FIELD_SELECTOR: Final = ",".join(f"type!={name}" for name in UNWATCHED_SECRETS)
_CHUNK: Final = 50
"""Objects in a page of a list. Few, because the memory of a parsed page stays in the process: with 200 it was 3 MB."""
_TABLE: Final = "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"
_NAME_COLUMN: Final = "Name"
_VERSION_COLUMN: Final = "Revision"
"""The column of resourceVersions, in crds/component.yaml."""
_WATCHED_FOR: Final = 300
"""Seconds until the API server ends a watch. A watch whose connection has died is noticed within that time."""

_GROUPS: Final = {
    "components": "apis/dapr.io/v1alpha1",
    "configurations": "apis/dapr.io/v1alpha1",
    "events": "api/v1",
    "jobs": "apis/batch/v1",
    "leases": "apis/coordination.k8s.io/v1",
    "limitranges": "api/v1",
    "mutatingwebhookconfigurations": "apis/admissionregistration.k8s.io/v1",
    "namespaces": "api/v1",
    "pods": "api/v1",
    "replicasets": "apis/apps/v1",
    "resiliencies": "apis/dapr.io/v1alpha1",
    "resourcequotas": "api/v1",
    "secrets": "api/v1",
    "validatingwebhookconfigurations": "apis/admissionregistration.k8s.io/v1",
}
"""The path of each resource's group and version."""
_PLURALS: Final = {"Job": "jobs", "Lease": "leases", "ReplicaSet": "replicasets", "Secret": "secrets"}
OPTIONAL: Final = ("resiliencies", "configurations")
"""Kinds whose definition may not be installed, because nothing depends on it."""
_OWNERS: Final = ("ReplicaSet", "Job")
_NAME: Final = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?", re.ASCII)
WEBHOOKS: Final = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
"""The configurations that name our webhooks."""


class ClusterApi:
    """The calls to one cluster. Every method raises ApiError."""

    def __init__(self, client: KubernetesClient):
        self._client = client

    async def close(self) -> None:
        await self._client.close()

    async def server_info(self) -> kinds.ServerVersion:
        """Return the answer to GET /version."""
        version: kinds.ServerVersion = await self._client.get("/version")
        return version

    async def everything(self, plural: str, namespaces: Collection[str], take: Callable[[Any], object]) -> int | None:
        """Call `take` with each object of one kind in these namespaces, or in every namespace if none is named.

        Objects come one by one, because together they may take hundreds of MB. Return the resourceVersion of the list,
        which is not older than that of any object; None if the definition of an optional kind is not installed.
        """
        listing = self._everything(plural, namespaces, take)
        return await (_unless(listing, NOT_FOUND) if plural in OPTIONAL else listing)

    async def _everything(self, plural: str, namespaces: Collection[str], take: Callable[[Any], object]) -> int:
        query = {"fieldSelector": SECRETS_FIELD_SELECTOR} if plural == "secrets" else {}
        versions = []
        for namespace in namespaces or ("",):
            version = 0
            async for page in self._client.pages(_path(plural, namespace), _CHUNK, **query):
                version = int(page["metadata"].get("resourceVersion") or 0)
                for item in page["items"]:
                    take(item)
            versions.append(version)
        return min(versions)

    async def components_in(self, namespace: str) -> list[kinds.Component]:
        """Return the Components that exist now, in one request, because a review waits for it.

        Without `limit`, API servers from 1.31 answer from their cache, once etcd has confirmed that it is up to date.
        Decision 28 has what this costs.
        """
        listed = await self._client.get(_path("components", namespace))
        items: list[kinds.Component] = listed["items"]
        return items

    async def resiliencies_in(self, namespace: str) -> list[kinds.Resiliency]:
        """Return the Resiliency objects that exist now, in one request, as `components_in` does."""
        listed = await self._client.get(_path("resiliencies", namespace))
        items: list[kinds.Resiliency] = listed["items"]
        return items

    async def component_versions_in(self, namespace: str) -> Mapping[str, str] | None:
        """Return the resourceVersions of the Components that exist now, by name; None if the API server does not say.

        They come as `kubectl get` has them, in a table, which is a twentieth of the list. The definition of Components
        must have the column: Dapr's has not.
        """
        table: Any = await self._client.get(_path("components", namespace), accept=_TABLE, includeObject="None")
        columns = [each["name"] for each in table.get("columnDefinitions") or ()]
        if _NAME_COLUMN not in columns or _VERSION_COLUMN not in columns:
            return None
        name, version = columns.index(_NAME_COLUMN), columns.index(_VERSION_COLUMN)
        return {row["cells"][name]: row["cells"][version] for row in table.get("rows") or ()}

    async def component(self, namespace: str, name: str) -> kinds.Component | None:
        component: kinds.Component | None = await self._found("components", namespace, name)
        return component

    async def configuration(self, namespace: str, name: str) -> kinds.Configuration | None:
        configuration: kinds.Configuration | None = await self._found("configurations", namespace, name)
        return configuration

    async def namespace_labels(self, name: str) -> Mapping[str, str]:
        namespace: kinds.Namespace = await self._client.get(_path("namespaces", name=name))
        return (namespace.get("metadata") or {}).get("labels") or {}

    async def bounds_of(self, namespace: str) -> tuple[list[kinds.LimitRange], list[kinds.ResourceQuota]]:
        """Return the namespace's LimitRanges and ResourceQuotas."""
        return await self._list("limitranges", namespace), await self._list("resourcequotas", namespace)

    async def _list(self, plural: str, namespace: str) -> list[Any]:
        return [item async for page in self._client.pages(_path(plural, namespace), _CHUNK) for item in page["items"]]

    async def secret(self, namespace: str, name: str) -> kinds.Secret | None:
        secret: kinds.Secret | None = await self._found("secrets", namespace, name)
        return secret

    async def pod(self, namespace: str, name: str) -> pod_kinds.Pod | None:
        pod: pod_kinds.Pod | None = await self._found("pods", namespace, name)
        return pod

    async def lease(self, namespace: str, name: str) -> kinds.Lease | None:
        lease: kinds.Lease | None = await self._found("leases", namespace, name)
        return lease

    async def owner_above(self, namespace: str, owner: kinds.OwnerReference) -> kinds.OwnerReference | None:
        """Return the reference to the owner of a ReplicaSet or Job, such as a Deployment or CronJob; None if it has
        none.
        """
        if owner.get("kind") not in _OWNERS:
            return None
        found: kinds.Object | None = await self._found(_PLURALS[owner["kind"]], namespace, owner["name"])
        if found is None or found["metadata"].get("uid") != owner.get("uid"):
            return None
        return next(iter(found["metadata"].get("ownerReferences") or ()), None)

    async def _found(self, plural: str, namespace: str, name: str) -> Any:
        return await _unless(self._get(plural, namespace, name), NOT_FOUND)

    async def _get(self, plural: str, namespace: str, name: str) -> Any:
        return await self._client.get(_path(plural, namespace, name))

    async def write(self, manifest: K) -> K | None:
        """Create the object, or replace it if it has a resourceVersion; None after a concurrent change or deletion."""
        metadata = manifest["metadata"]
        name = metadata["name"] if metadata.get("resourceVersion") else ""
        path = _path(_PLURALS[manifest["kind"]], metadata["namespace"], name)
        method = "PUT" if name else "POST"
        sent = self._client.send(method, path, manifest, fieldManager=FIELD_MANAGER)
        written: K | None = await _unless(sent, CONFLICT, *((NOT_FOUND,) if name else ()))
        return written

    async def delete_secret(self, secret: kinds.Secret) -> bool:
        """Delete a Secret in the version that was read; return False if it has changed since, and then it stays."""
        metadata = secret["metadata"]
        preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        try:
            await self._client.send("DELETE", _path("secrets", metadata["namespace"], metadata["name"]), options)
        except ApiRefusedError as error:
            if error.status == CONFLICT:
                return False
            if error.status != NOT_FOUND:
                raise
        return True

    async def write_status(self, plural: str, manifest: C, status: kinds.Status) -> C | None:
        """Write an object's status and return the object; None if it no longer exists.

        If the definition of its kind has no status subresource, as in Dapr, an annotation holds the status.
        """
        metadata = manifest["metadata"]
        written: C | None = await self._patched(plural, metadata, {"status": status}, subresource="/status")
        if written is not None or await self._found(plural, metadata["namespace"], metadata["name"]) is None:
            return written
        changes = {"metadata": {"annotations": {STATUS_ANNOTATION: json.dumps(status)}}}
        written = await self._patched(plural, metadata, changes)
        return written

    async def annotate_pod(self, pod: pod_kinds.Pod, annotations: Mapping[str, str]) -> pod_kinds.Pod | None:
        """Annotate a pod and return it; None if it no longer exists."""
        changes = {"metadata": {"annotations": dict(annotations)}}
        annotated: pod_kinds.Pod | None = await self._patched("pods", pod["metadata"], changes)
        return annotated

    async def _patched(
        self, plural: str, metadata: kinds.ObjectMeta, changes: Mapping[str, Any], subresource: str = ""
    ) -> Any:
        """Merge-patch one object and return it; None if it no longer exists.

        The uid in the patch protects a newer object of the same name: the API server answers 409 for another uid.
        """
        body = {**changes, "metadata": {**changes.get("metadata", {}), "uid": metadata["uid"]}}
        path = _path(plural, metadata["namespace"], metadata["name"]) + subresource
        patch = self._client.send("PATCH", path, body, content_type=MERGE_PATCH, fieldManager=FIELD_MANAGER)
        return await _unless(patch, NOT_FOUND, CONFLICT)

    async def create_event(self, event: kinds.Event) -> None:
        """Create an Event, unless it exists. A refusal, by a quota for example, is only logged."""
        path = _path("events", event["metadata"]["namespace"])
        try:
            await self._client.send("POST", path, event, fieldManager=FIELD_MANAGER)
        except ApiRefusedError as error:
            if error.status not in (CONFLICT, NOT_FOUND) and not error.is_namespace_terminating:
                logger.warning("Event %s cannot be written: %s", event["reason"], error)

    async def evict(self, pod: pod_kinds.Pod) -> bool:
        """Evict the pod; return False if a PodDisruptionBudget does not allow it now, or it no longer exists."""
        metadata = pod["metadata"]
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
        }
        try:
            path = _path("pods", metadata["namespace"], metadata["name"])
            await self._client.send("POST", f"{path}/eviction", eviction)
        except ApiRefusedError as error:
            if error.status not in (TOO_MANY_REQUESTS, NOT_FOUND, CONFLICT):
                name = f"{metadata['namespace']}/{metadata['name']}"
                logger.warning("Pod %s cannot be evicted: %s", name, error)
            return False
        return True

    async def ca_bundles(self, plural: str, configuration: str) -> AsyncIterator[list[str]]:
        """Yield the CA bundles of a configuration's webhooks, now and at each change, until the watch ends."""
        # Version 0 means "whatever the API server's cache has". If a resource seldom changes, the cache may be behind
        # etcd's latest version for a long time. A watch from that latest version is refused until the cache has caught
        # up, which may be never with etcd before 3.4.25.
        selector = f"metadata.name={configuration}"
        changes = self._client.watch(_path(plural), _WATCHED_FOR, fieldSelector=selector, resourceVersion="0")
        try:
            async for change, changed in changes:
                configured: kinds.WebhookConfiguration = changed
                if change != "DELETED":
                    webhooks = configured.get("webhooks") or ()
                    yield [(webhook.get("clientConfig") or {}).get("caBundle") or "" for webhook in webhooks]
        finally:
            await changes.aclose()

    async def trust(self, configuration: str, ca_bundle: str) -> None:
        """Set the CA bundle with which the API server verifies our webhooks."""
        for plural in WEBHOOKS:
            found: kinds.WebhookConfiguration | None = await self._found(plural, "", configuration)
            if found is not None:
                await self._trust(_path(plural, name=configuration), found.get("webhooks") or [], ca_bundle)

    async def _trust(self, path: str, webhooks: list[kinds.Webhook], ca_bundle: str) -> None:
        changes: list[dict[str, str]] = []
        for index, webhook in enumerate(webhooks):
            if (webhook.get("clientConfig") or {}).get("caBundle") != ca_bundle:
                changes += [
                    {"op": "test", "path": f"/webhooks/{index}/name", "value": webhook["name"]},
                    {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": ca_bundle},
                ]
        if changes:
            await self._client.send("PATCH", path, changes, content_type=JSON_PATCH, fieldManager=FIELD_MANAGER)


async def _unless(call: Awaitable[Any], *statuses: int) -> Any:
    """Return the answer to a call; None if it is refused with one of these statuses."""
    try:
        return await call
    except ApiRefusedError as error:
        if error.status in statuses:
            return None
        raise


def _path(plural: str, namespace: str = "", name: str = "") -> str:
    """Return the path of a resource, or of one object.

    Raises ApiRefusedError, as if the object did not exist, for a name that no object can have: a Component may refer to
    a Secret by any text, even by one whose path leads to another namespace.
    """
    if not all(_NAME.fullmatch(each) for each in (namespace, name) if each):
        raise ApiRefusedError(NOT_FOUND)
    parts = (_GROUPS[plural], *(("namespaces", namespace) if namespace else ()), plural, *((name,) if name else ()))
    return "/" + "/".join(parts)
