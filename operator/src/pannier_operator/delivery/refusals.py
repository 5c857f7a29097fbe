"""What refuses an app's Secret, and what to do about it. Pure.

The API server's message is not repeated: another party's admission webhook can put anything into it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from pannier_crds.problems import quoted
from pannier_operator.delivery.app_secret import APP_ID_LABEL, MANAGED_BY_LABEL, MANAGER

if TYPE_CHECKING:
    from pannier_operator.objects.kinds import ObjectMeta, Secret

_QUOTA: Final = re.compile(r"exceeded quota: ([^,\s]{1,253})")
_WEBHOOK_DENIES: Final = re.compile(r'admission webhook "([^"\s]{1,253})" denied')
_WEBHOOK_FAILS: Final = re.compile(r'failed calling webhook "([^"\s]{1,253})"')
_POLICY_DENIES: Final = re.compile(r"ValidatingAdmissionPolicy '([^'\s]{1,253})'")
_EXEMPT: Final = f"exempt Secrets with the label {MANAGED_BY_LABEL}={MANAGER} from it"
_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERROR: Final = 500


class Refusal(NamedTuple):
    """Why an app's Secret could not be written."""

    cause: str
    """One word, for the metric."""
    message: str
    """What refuses, and what to do."""


def refusal_of_foreign(secret: Secret) -> Refusal:
    """Return the refusal for a Secret of the same name that is not Pannier's: it is never overwritten."""
    where = _named(secret["metadata"])
    if _has_our_marks(secret):
        message = (
            f"{where} has lost the label {MANAGED_BY_LABEL}={MANAGER}; put the label back, or delete the Secret, and "
            "it is made again"
        )
        return Refusal("LabelRemoved", message)
    message = (
        f"{where} is not Pannier's and has the name that the app's Secret needs; rename it, or give the app another id "
        "with the annotation dapr.io/app-id"
    )
    return Refusal("NameTaken", message)


def refusal_of_write(status: int, text: str, namespace: str, name: str) -> Refusal:
    """Return the refusal for an error of the API server."""
    where = f"Secret {quoted(name)} in namespace {quoted(namespace)}"
    if found := _QUOTA.search(text):
        message = f"the quota {quoted(found[1])} allows no more, so {where} cannot be made; raise it, or make room"
        return Refusal("QuotaExceeded", message)
    if found := _WEBHOOK_DENIES.search(text):
        return Refusal("Denied", f"the admission webhook {quoted(found[1])} refuses {where}; {_EXEMPT}")
    if found := _WEBHOOK_FAILS.search(text):
        message = (
            f"the admission webhook {quoted(found[1])} fails, so {where} cannot be written; repair it, or {_EXEMPT}"
        )
        return Refusal("WebhookFails", message)
    if found := _POLICY_DENIES.search(text):
        return Refusal("Denied", f"the admission policy {quoted(found[1])} refuses {where}; {_EXEMPT}")
    if "immutable" in text:
        # A kubelet does not read an immutable Secret again as long as a pod on its node mounts it.
        message = f"{where} is immutable; scale the app to 0, delete the Secret, and scale up: it is made again"
        return Refusal("Immutable", message)
    if "forbidden" in text.lower() and "cannot" in text:
        return Refusal(
            "NoRight", f"the operator has no right to write {where}; restore the role that its chart installs"
        )
    message = f"the API server refuses to write {where} (HTTP status {status}); it is tried again"
    return Refusal("Refused", message)


def refusal_of_changed(namespace: str, name: str) -> Refusal:
    """Return the refusal for a Secret that was altered while it was written."""
    where = f"Secret {quoted(name)} in namespace {quoted(namespace)}"
    return Refusal("Altered", f"something in the cluster alters {where} as it is written, such as a webhook; {_EXEMPT}")


def is_transient(status: int) -> bool:
    """Return whether a failed call may succeed a moment later; then the first failure is not reported."""
    return status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR


def _has_our_marks(secret: Secret) -> bool:
    return APP_ID_LABEL in (secret["metadata"].get("labels") or {})


def _named(metadata: ObjectMeta) -> str:
    return f"Secret {quoted(str(metadata.get('name')))} in namespace {quoted(str(metadata.get('namespace')))}"
