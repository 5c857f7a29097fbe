"""What is wrong with a component's encryption keys, as `check`, admission and the sidecar say it."""

from __future__ import annotations

import pytest

from pannier_crds import catalogue
from pannier_crds.checks import problems_of
from pannier_crds.component import Component, MetadataItem, SecretKeyRef

KEY = "0123456789abcdefABCDEF9876543210"
NO_HEX = "write 32, 48 or 64 of the characters 0-9 and a-f; make one with: openssl rand -hex 32"
EMPTY = (
    "spec.metadata[{}]: the encryption key is empty, so state would be stored readable; make one with: "
    "openssl rand -hex 32; or take this field out"
)


NO_KEY = (
    "spec.metadata[decryptionKeys]: there is no encryption key in it; write one on each line, or take this field out"
)


def literal(text: str | None, name: str = "primaryEncryptionKey") -> MetadataItem:
    return MetadataItem(name, text)


def of_secret(name: str, key: str | None = None, field: str = "primaryEncryptionKey") -> MetadataItem:
    return MetadataItem(field, secret=SecretKeyRef(name, key or name))


def secondary(name: str, key: str | None = None) -> MetadataItem:
    return of_secret(name, key, "secondaryEncryptionKey")


def further(text: str) -> MetadataItem:
    return literal(text, "decryptionKeys")


DAPR = MetadataItem("encryptionFormat", "dapr")


def errors(*items: MetadataItem) -> list[str]:
    judged = problems_of(Component("statestore", "state.in-memory", metadata=items))
    return [str(problem) for problem in judged if problem.is_error]


@pytest.mark.parametrize(
    "items",
    [
        (literal(KEY),),
        (literal(KEY + KEY[:16]),),
        (literal(KEY + KEY),),
        (literal(f" {KEY}\n"),),
        (of_secret("a"), secondary("b")),
        (of_secret("a", "new"), secondary("a", "old")),
        (of_secret("a"), secondary("b"), DAPR),
        (MetadataItem("primaryEncryptionKey", env="KEY"), DAPR),
        (of_secret("a"), MetadataItem("encryptionReadsUnencrypted", "true")),
        (of_secret("a"), of_secret("keys", field="decryptionKeys"), DAPR),
        (of_secret("a"), further(KEY)),
        (of_secret("a"), further(f"\nold={KEY}\r\n\n{KEY}{KEY}, a/b=c={KEY},{KEY}\n")),
    ],
)
def test_keys_that_are_accepted(items: tuple[MetadataItem, ...]) -> None:
    assert errors(*items) == []


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (
            (literal("zebra" + KEY[5:]),),
            "spec.metadata[primaryEncryptionKey].value: character 1 of the encryption key is no hexadecimal digit; "
            + NO_HEX,
        ),
        (
            (literal(KEY[:30]),),
            "spec.metadata[primaryEncryptionKey].value: the encryption key has 30 hexadecimal digits; write 32, 48 or "
            "64 (16, 24 or 32 bytes); make one with: openssl rand -hex 32",
        ),
        ((literal(""),), EMPTY.format("primaryEncryptionKey")),
        ((literal(" \n"),), EMPTY.format("primaryEncryptionKey")),
        ((literal(None),), EMPTY.format("primaryEncryptionKey")),
        ((of_secret("a"), literal("", "secondaryEncryptionKey")), EMPTY.format("secondaryEncryptionKey")),
        (
            (secondary("b"),),
            "spec.metadata[secondaryEncryptionKey]: without primaryEncryptionKey nothing is encrypted; add "
            "primaryEncryptionKey, or take this field out",
        ),
        ((of_secret("a"), further("")), NO_KEY),
        ((of_secret("a"), further(" ,\n,")), NO_KEY.replace("]:", "].value:")),
        (
            (of_secret("a"), further(f"{KEY}\nold={KEY[1:]}g")),
            "spec.metadata[decryptionKeys].value: in its key 2, character 32 of the encryption key is no hexadecimal "
            "digit; " + NO_HEX,
        ),
        (
            (of_secret("a"), further(f"{KEY[:-1]}")),
            "spec.metadata[decryptionKeys].value: in its key 1, the encryption key has 31 hexadecimal digits; write "
            "32, 48 or 64 (16, 24 or 32 bytes); make one with: openssl rand -hex 32",
        ),
        (
            (of_secret("a"), further(f"{KEY}=old")),
            "spec.metadata[decryptionKeys].value: in its key 1, character 1 of the encryption key is no hexadecimal "
            "digit; " + NO_HEX,
        ),
        (
            (of_secret("a"), further(f"a||b={KEY}")),
            "spec.metadata[decryptionKeys].value: the name of its key 1 holds '||', which separates a value and its "
            "key in Dapr's format; write NAME=KEY, with the name of the secret that it was in",
        ),
        (
            (of_secret("a"), further(f"old={KEY}\n{KEY}\nold={KEY[::-1]}")),
            "spec.metadata[decryptionKeys].value: its keys 1 and 3 have the same name; give each the name of the "
            "secret that it was in",
        ),
        (
            (of_secret("a"), further("\n".join([KEY] * 1001))),
            "spec.metadata[decryptionKeys].value: it holds 1001 encryption keys, more than 1000; run 'pannier "
            "reencrypt', and take out the keys that no value needs any more",
        ),
        (
            (further(KEY),),
            "spec.metadata[decryptionKeys]: without primaryEncryptionKey nothing is encrypted; add "
            "primaryEncryptionKey, or take this field out",
        ),
        (
            (DAPR,),
            "spec.metadata[encryptionFormat]: without primaryEncryptionKey nothing is encrypted; add "
            "primaryEncryptionKey, or take this field out",
        ),
        (
            (literal(KEY), DAPR),
            "spec.metadata[primaryEncryptionKey]: Dapr finds a key by the name of its secret, and a literal value has "
            "none; write secretKeyRef, or take encryptionFormat out",
        ),
        (
            (of_secret("a||b"), DAPR),
            "spec.metadata[primaryEncryptionKey]: Dapr could not open what is encrypted with 'a||b', because '||' "
            "separates a value and its key; give the secret a name without '||'",
        ),
        (
            (of_secret("a", "new"), secondary("a", "old"), DAPR),
            "spec.metadata[secondaryEncryptionKey]: both keys are in the secret 'a', and Dapr would take the primary "
            "one for every value; put it into a secret of its own, or take encryptionFormat out",
        ),
    ],
)
def test_keys_that_are_refused(items: tuple[MetadataItem, ...], expected: str) -> None:
    assert errors(*items) == [expected]


def test_a_literal_key_is_warned_of() -> None:
    (problem,) = problems_of(Component("statestore", "state.in-memory", metadata=(literal(KEY),)))
    assert str(problem) == (
        "spec.metadata[primaryEncryptionKey].value: the value of 'primaryEncryptionKey' is plain text; move it to a "
        "secret and write secretKeyRef instead"
    )


def test_every_store_takes_keys() -> None:
    for kind in catalogue.known_types():
        if kind.is_state_store:
            assert {"primaryEncryptionKey", "decryptionKeys", "encryptionFormat"} <= set(kind.field_names())
