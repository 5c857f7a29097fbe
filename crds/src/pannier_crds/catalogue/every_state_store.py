"""The fields that every state store takes, whichever database is behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pannier_crds.catalogue import encryption, large_values, near_cache
from pannier_crds.catalogue.model import Field, Form, Rule, Setting
from pannier_crds.problems import Problem, error, metadata_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MIN_POLL_INTERVAL_S: Final = 0.1
_OUTBOX_REFUSED: Final = (
    "the outbox is not served, so no event would be published",
    "take this field out, and have the app publish what it saves",
)

FIELDS: Final = (
    Field(
        "keyPrefix",
        description="Prefix of stored keys: appid, name, namespace, none, or a text of your own",
        default="appid",
        form=Form(
            r"(?s:(?!.*\|\|).*)",
            "a key prefix, because '||' separates the parts of a stored key",
            "write appid, name, namespace, none, or a text without '||'",
        ),
    ),
    Field(
        "keyScheme",
        "choice",
        description="Separator between the parts of a stored key: pipes (app||key) or dash (app-key, the oldest "
        "published scheme, for app ids and prefixes without '-')",
        default="pipes",
        choices=("pipes", "dash"),
        places_data=True,
    ),
    Field("actorStateStore", "boolean", description="Whether this store holds the state of actors", default=False),
    Field(
        "defaultStateStore",
        "boolean",
        description="Whether calls that name no store use this one",
        default=False,
    ),
    Field(
        "ttlInSeconds",
        "integer",
        description="Time to live of entries that set none; 0 or -1: never",
        minimum=-1,
        maximum=2**31 - 1,
        unit="seconds",
    ),
    Field(
        "idempotencyKeyTTLInSeconds",
        "integer",
        description="How long a request with an Idempotency-Key is remembered: from a minute to a week",
        default=3600,
        minimum=60,
        maximum=7 * 86_400,
        unit="seconds",
    ),
    Field(
        "changesPollInterval",
        "duration",
        description="Time between two looks for changed keys while they are watched, on stores that are polled",
        default=5.0,
        bare_unit="s",
    ),
    *near_cache.FIELDS,
    *encryption.FIELDS,
    *large_values.FIELDS,
    Field("outboxPublishPubsub", refused=_OUTBOX_REFUSED),
    Field("outboxPublishTopic", refused=_OUTBOX_REFUSED),
    Field("outboxPubsub", refused=_OUTBOX_REFUSED),
    Field("outboxDiscardWhenMissingState", "boolean", refused=_OUTBOX_REFUSED),
)


def _polls_with_pauses(settings: Mapping[str, Setting], _: frozenset[str]) -> Iterator[Problem]:
    """Yield a problem for an interval at which the database would hardly do anything else."""
    seconds = settings.get("changesPollInterval")
    if isinstance(seconds, float) and seconds < MIN_POLL_INTERVAL_S:
        message = f"under {MIN_POLL_INTERVAL_S * 1000:g}ms, all keys would be listed all the time"
        yield error(metadata_path("changesPollInterval"), message, "write 100ms or more, such as 5s")


RULES: Final[tuple[Rule, ...]] = (
    encryption.needs_primary_key,
    large_values.must_be_on,
    _polls_with_pauses,
    near_cache.cache_works,
)
"""The rules that hold for every state store, beside those of its type."""
