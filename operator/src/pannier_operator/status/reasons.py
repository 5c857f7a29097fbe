"""Which conditions objects have, and for which reasons, as crds/ and docs/kubernetes.md describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Mapping

NotAccepted = Literal["Invalid", "ActorStateStoreConflict", "DefaultStateStoreConflict", "Conflict", "NotServed"]
NotAcceptedResiliency = Literal["Invalid", "UnknownPolicy"]
NotAcceptedConfiguration = Literal["Invalid"]
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
NotUsedBySidecar = Literal[
    "RefusedBySidecar", "ServesEarlierVersion", "SidecarTooOld", "SidecarSilent", "NotLoadedYet", "NoRunningPod"
]
NotFalse = Literal["Accepted", "Resolved", "NotNeeded", "NotJudged", "Delivered", "NotUsed", "Ready"]
"""Reasons for which a condition is true, or unknown."""
Reason = Literal[NotAccepted, NotAcceptedResiliency, NotResolved, NotDelivered, NotReady, NotUsedBySidecar, NotFalse]

FALSE_BECAUSE: Final[Mapping[str, tuple[Reason, ...]]] = {
    "Accepted": get_args(NotAccepted),
    "SecretsResolved": get_args(NotResolved),
    "Delivered": get_args(Literal[NotDelivered, NotAccepted]),
    "Ready": get_args(Literal[NotReady, NotDelivered, NotResolved, NotAccepted]),
}
"""The conditions of a Component, in the order in which they are found, and why each can be false."""
CONDITIONS: Final = tuple(FALSE_BECAUSE)
RESILIENCY_FALSE_BECAUSE: Final[Mapping[str, tuple[Reason, ...]]] = {
    "Accepted": get_args(NotAcceptedResiliency),
    "Delivered": get_args(Literal[NotDelivered, NotAcceptedResiliency]),
    "Ready": get_args(Literal[NotUsedBySidecar, NotDelivered, NotAcceptedResiliency]),
}
"""The conditions of a Resiliency."""
CONFIGURATION_FALSE_BECAUSE: Final[Mapping[str, tuple[Reason, ...]]] = {
    "Accepted": get_args(NotAcceptedConfiguration),
    "SecretsResolved": ("SecretMissing",),
    "Delivered": get_args(Literal[NotDelivered, NotAcceptedConfiguration]),
    "Ready": get_args(Literal[NotUsedBySidecar, NotDelivered, "SecretMissing", NotAcceptedConfiguration]),
}
"""The conditions of a Configuration."""
