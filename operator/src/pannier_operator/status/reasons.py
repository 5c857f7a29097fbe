"""Which conditions a Component has, and for which reasons. crds/component.yaml and docs/kubernetes.md describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

NotAccepted = Literal["Invalid", "ActorStateStoreConflict", "DefaultStateStoreConflict", "Conflict", "NotServed"]
NotResolved = Literal["SecretMissing", "SecretStoreMissing"]
NotDelivered = Literal["Delivering", "TooLarge", "SecretRefused"]
NotReady = Literal[
    "StoreUnavailable",
    "RefusedBySidecar",
    "ServesEarlierVersion",
    "SidecarSilent",
    "NotLoadedYet",
    "NoRunningPod",
]
NotFalse = Literal["Accepted", "Resolved", "NotNeeded", "NotJudged", "Delivered", "NotUsed", "Ready"]
"""Reasons for which a condition is true, or unknown."""
Reason = Literal[NotAccepted, NotResolved, NotDelivered, NotReady, NotFalse]

FALSE_BECAUSE: Final[Mapping[str, tuple[Reason, ...]]] = {
    "Accepted": get_args(NotAccepted),
    "SecretsResolved": get_args(NotResolved),
    "Delivered": get_args(Literal[NotDelivered, NotAccepted]),
    "Ready": get_args(Literal[NotReady, NotDelivered, NotResolved, NotAccepted]),
}
"""The conditions, in the order in which they are found, and why each can be false."""
CONDITIONS: Final = tuple(FALSE_BECAUSE)
