"""Values that are sealed and opened again: in Pannier's format, in Dapr's, and in neither."""

from __future__ import annotations

import base64
import os
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from unit.tables import each_row

from pannier_sidecar.encryption import dapr_format, own_format
from pannier_sidecar.encryption.keys import Key
from pannier_sidecar.encryption.own_format import MARK
from pannier_sidecar.encryption.sealing import Format, Sealing
from pannier_sidecar.state.errors import UndecryptableError

OLD = Key(bytes(range(16)), "old-key", "old-key")
NEW = Key(bytes(range(32, 64)), "keys/new", "keys")
VALUES = (b"", b"1", b'"text"', bytes(range(256)), b"x" * 100_000, MARK + b"my own", b"QUJD||old-key")


def sealing(*keys: Key, store: str = "statestore", written_as: Format = "pannier", reads: bool = False) -> Sealing:
    return Sealing(store, keys or (NEW, OLD), written_as, reads_unencrypted=reads)


def as_dapr(secret: bytes, value: bytes, name: str) -> bytes:
    """A value as Dapr 1.18 stores it, made without Pannier's code."""
    nonce = os.urandom(12)
    return base64.b64encode(nonce + AESGCM(secret).encrypt(nonce, value, None)) + b"||" + name.encode()


def read_by_dapr(secret: bytes, data: bytes) -> tuple[bytes, str]:
    body, _, name = data.decode("ascii").rpartition("||")
    sealed = base64.b64decode(body, validate=True)
    return AESGCM(secret).decrypt(sealed[:12], sealed[12:], None), name


def reason(data: bytes, by: Sealing, key: str = "app||k") -> str:
    with pytest.raises(UndecryptableError) as caught:
        by.open(key, data)
    return str(caught.value)


@each_row("value", VALUES)
def test_a_value_comes_back_byte_for_byte(value: bytes) -> None:
    for key in (OLD, NEW, Key(bytes(24), "", "")):
        for written_as in ("pannier", "dapr"):
            data = sealing(key, written_as=written_as).seal("app||k", value)
            assert value not in data or len(value) < 3
            for reader in (sealing(key), sealing(NEW, key, OLD), sealing(key, reads=True)):
                assert reader.open("app||k", data) == value


@each_row("value", VALUES)
def test_dapr_and_pannier_read_each_other(value: bytes) -> None:
    assert sealing().open("app||k", as_dapr(bytes(range(16)), value, "old-key")) == value
    assert read_by_dapr(bytes(range(16)), sealing(OLD, written_as="dapr").seal("app||k", value)) == (value, "old-key")


@each_row(
    ("sent", "bare"),
    [
        (b'"value1"', b"value1"),
        (b' "a\\n\\u00fc" ', "a\nü".encode()),
        (b'"\\ud800x"', "\ufffdx".encode()),
        (b'"\\ud83d\\ude00"', "😀".encode()),
        (b'"\xff"', "\ufffd".encode()),
        (b'""', b""),
        (b"1.50", b"1.50"),
        (b"null", b"null"),
        (b'{"a": [1]}', b'{"a": [1]}'),
    ],
)
def test_json_of_http_is_encrypted_for_dapr_as_the_text_of_a_string_or_as_it_is(sent: bytes, bare: bytes) -> None:
    for by in (sealing(written_as="dapr"), Sealing("statestore", [NEW], bares_texts=True)):
        assert by.open("app||k", by.seal("app||k", sent, is_json=True)) == bare
        assert by.open("app||k", by.seal("app||k", sent)) == sent
    assert sealing().open("app||k", sealing().seal("app||k", sent, is_json=True)) == sent


def test_a_value_opens_nowhere_else() -> None:
    data = sealing().seal("app||k", b"1")
    moved = "moved here from another key, or from a state store of another name"
    assert moved in reason(data, sealing(), "app||j")
    assert moved in reason(data, sealing(store="other"))
    assert moved in reason(sealing(store="a").seal("bk", b"1"), sealing(store="ab"), "k")


def test_no_byte_can_be_changed_or_cut_off() -> None:
    for written_as in ("pannier", "dapr"):
        data = sealing(written_as=written_as).seal("app||k", b"value")
        for at in range(len(data)):
            for changed in (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], data[:at]):
                try:
                    assert sealing().open("app||k", changed) == b"value"  # Dapr does not protect the key's name
                    assert written_as == "dapr" and at > data.rindex(b"||") - 1
                except UndecryptableError:
                    pass


def test_equal_values_are_sealed_differently() -> None:
    for written_as in ("pannier", "dapr"):
        assert len({sealing(written_as=written_as).seal("k", b"1") for _ in range(100)}) == 100


def test_a_key_is_found_whatever_its_secret_is_called_now() -> None:
    renamed = Key(bytes(range(16)), "renamed", "renamed")
    for written_as in ("pannier", "dapr"):
        assert sealing(NEW, renamed).open("k", sealing(OLD, written_as=written_as).seal("k", b"1")) == b"1"


def test_two_keys_of_one_secret_both_open_what_dapr_wrote() -> None:
    one, other = Key(bytes(16), "keys/new", "keys"), Key(bytes(range(32)), "keys/old", "keys")
    assert sealing(one, other).open("k", as_dapr(bytes(range(32)), b"1", "keys")) == b"1"
    assert sealing(one, other).open("k", as_dapr(bytes(range(32)), b"1", "")) == b"1"


MANY = [Key(number.to_bytes(16, "big"), f"key-{number}", f"key-{number}") for number in range(1, 501)]


def test_any_number_of_keys_opens_what_each_of_them_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt for each value, however many keys there are: of Pannier's by id, of Dapr's by name."""
    by = Sealing("statestore", [NEW, OLD], further=MANY)
    attempts: list[str] = []
    for module in (own_format, dapr_format):
        counted(monkeypatch, module, attempts)
    for key in (MANY[0], MANY[-1], NEW, OLD):
        assert by.opened("k", sealing(key).seal("k", b"1")) == (b"1", key is NEW)
        assert by.opened("k", sealing(key, written_as="dapr").seal("k", b"1")) == (b"1", False)
    assert attempts == ["own_format", "dapr_format"] * 4
    gone = Key(bytes(24), "gone", "gone")
    assert "'gone' (id" in reason(sealing(gone).seal("app||k", b"1"), by)
    assert "under that name" in reason(sealing(gone, written_as="dapr").seal("app||k", b"1"), by)
    assert attempts[8:] == ["dapr_format"] * 2  # its primary and secondary key may have had other names


def counted(monkeypatch: pytest.MonkeyPatch, module: ModuleType, attempts: list[str]) -> None:
    unseal = module.unseal

    def counting(*arguments: Any) -> bytes | None:
        attempts.append(module.__name__.rpartition(".")[2])
        opened: bytes | None = unseal(*arguments)
        return opened

    monkeypatch.setattr(module, "unseal", counting)


def test_a_further_key_without_a_name_opens_values_in_panniers_format_alone() -> None:
    by = Sealing("statestore", [NEW], further=[Key(bytes(16), "", "")])
    assert by.open("k", sealing(Key(bytes(16), "a", "a")).seal("k", b"1")) == b"1"
    assert "the key 'a'" in reason(as_dapr(bytes(16), b"1", "a"), by)


def test_a_key_that_was_replaced_in_its_secret_still_opens_under_its_name() -> None:
    replaced = Key(bytes(24), "keys", "keys")
    by = Sealing("statestore", [NEW], further=[replaced])
    assert by.open("k", as_dapr(bytes(24), b"1", "keys")) == b"1"
    assert by.opened("k", sealing(NEW).seal("k", b"1")).is_current


@each_row(
    ("data", "expected"),
    {
        "a key that is gone": (
            sealing(OLD).seal("app||k", b"1"),
            f"it is encrypted with the key 'old-key' (id {OLD.id.hex()}), which the component does not have; add it to "
            "decryptionKeys",
        ),
        "a key of Dapr's that is gone": (
            as_dapr(bytes(16), b"1", "lost\nkey"),
            "it is encrypted with the key 'lost key', which the component does not have; add it to decryptionKeys, "
            "under that name",
        ),
        "a key of Dapr's without a name": (
            as_dapr(bytes(16), b"1", ""),
            "it is encrypted with a key without a name, which the component does not have; add it to decryptionKeys",
        ),
        "another key of the same name": (
            as_dapr(bytes(16), b"1", "keys"),
            "it was changed in the database, or encrypted with another key of the same name; restore it from a backup, "
            "or write it again",
        ),
        "cut off": (MARK + b"12345", "it is cut off; restore it from a backup, or write it again"),
        "cut off in its name": (MARK + NEW.id + b"\xff", "it is cut off; restore it"),
        "cut off, of Dapr's": (
            base64.b64encode(bytes(27)) + b"||keys",
            "it is cut off, or was stored without encryption; restore it",
        ),
        "plain": (
            b'{"a": 1}',
            "it was stored without encryption; to read such values until they are written again, set "
            'encryptionReadsUnencrypted: "true" in the component',
        ),
        "plain with bars": (b'"a||keys"', "it was stored without encryption; "),
        "nothing before the bars": (b"||keys", "it was stored without encryption; "),
        "empty": (b"", "it was stored without encryption; "),
    },
)
def test_what_does_not_open_says_why(data: bytes, expected: str) -> None:
    assert reason(data, sealing(NEW)).startswith(f"could not decrypt the value: {expected}")


@each_row("value", [b"", b'{"a": 1}', b'"a||keys"', b"QUJD||keys", b"||", b"\xff\x00"])
def test_values_from_before_encryption_are_read_on_request(value: bytes) -> None:
    assert sealing(reads=True).open("k", value) == value
    assert "does not have" in reason(sealing(OLD).seal("k", b"1"), sealing(NEW, reads=True), "k")
    assert "does not have" in reason(as_dapr(bytes(16), b"1", "gone"), sealing(NEW, reads=True), "k")


@given(st.binary(max_size=200), st.sampled_from([b"", MARK, MARK + NEW.id, MARK + NEW.id + b"\x01"]), st.booleans())
def test_any_bytes_are_returned_or_refused(data: bytes, beginning: bytes, reads: bool) -> None:
    sent = beginning + data
    try:
        opened = sealing(reads=reads).open("k", sent)
    except UndecryptableError:
        return
    assert reads
    assert opened == sent


def test_a_key_shows_its_name_only() -> None:
    assert repr(OLD) == f"Key('old-key', id={OLD.id.hex()})"
    assert bytes(range(16)).hex() not in repr(OLD) + str(vars(Sealing("statestore", [OLD], further=[NEW])))
