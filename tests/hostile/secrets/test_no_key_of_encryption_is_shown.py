"""Encryption keys of every store and of both formats: no sidecar, verdict or command shows any part of one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hostile.conftest import Promise
from hostile.secrets.canaries import manifest, reference
from hostile.secrets.test_no_sidecar_shows_a_password import STORES, outputs_of, said_over_grpc
from hostile.secrets.test_no_verdict_shows_a_password import said_by_checks_and_operator, said_by_plan
from servers.keyed_folder import KeyedFolder, by_dapr
from servers.pannier_process import Pannier, call
from servers.places import Place

from pannier_crds.catalogue import ComponentType

KEY: Final = "9d3e71fa4b28c60517e8a2d94f6b0c3d"
"""No two places of eight digits in it are alike, and it has no digits that other output would have."""
OTHER: Final = "e47a90d25c1f8b36e09d4c72a51b8f63"
FRAGMENT: Final = 8
FIELDS: Final = ("primaryEncryptionKey", "secondaryEncryptionKey", "decryptionKeys")
WRONG: Final = {
    "cut off": KEY[:-1],
    "too long": f"{KEY}{KEY}{KEY}",
    "with a letter that is none": f"{KEY[:20]}g{KEY[21:]}",
    "in quotes": f'"{KEY}"',
    "in base64": base64.b64encode(bytes.fromhex(KEY)).decode(),
    "with its name behind it": f"{KEY}=old",
    "with bars": f"{KEY}||{KEY}",
    "twice under one name": f"{KEY}={KEY}\n{KEY}={OTHER}",
    "with 0x": f"0x{KEY}",
    "as two words": f"{KEY[:16]} {KEY[16:]}x",
    "with colons": ":".join(KEY[at : at + 2] for at in range(0, len(KEY), 2)),
    "as JSON": json.dumps({"old": KEY}),
}
ENCRYPTED: Final = {
    "gone, of Dapr's": by_dapr(OTHER, b"1", "gone"),
    "changed, of Dapr's": by_dapr(OTHER, b"1", "KEY"),
    "named as the key": by_dapr(OTHER, b"1", "statekey"),
    "without encryption": b"1",
    "cut off": b"\0pannier\x01" + bytes(20),
    "of an unknown key": b"\0pannier\x01" + bytes(80),
}


def fragments(text: str) -> list[str]:
    """The parts of the key in a text: as hexadecimal digits in either case, as bytes, or in base64."""
    raw = bytes.fromhex(KEY)
    parts = {KEY[at : at + FRAGMENT] for at in range(len(KEY) - FRAGMENT + 1)}
    parts |= {base64.b64encode(raw[at:]).decode()[:8].lower() for at in range(3)}
    parts |= {repr(raw[at : at + 4])[2:-1].lower() for at in range(len(raw) - 3)}
    return sorted(part for part in parts if part in text.lower())


SECRETS: Final = {
    "KEY": KEY,
    "KEYS": f"old={KEY}\n{OTHER}",
    **{f"WRONG-{at}": text for at, text in enumerate(WRONG.values())},
}
PRIMARY: Final = {"primaryEncryptionKey": reference("KEY")}
GOOD: Final[tuple[dict[str, Any], ...]] = (
    PRIMARY,
    {**PRIMARY, "decryptionKeys": reference("KEYS"), "encryptionFormat": "dapr"},
    {"primaryEncryptionKey": KEY, "decryptionKeys": f"{OTHER},{KEY}"},
)
REFUSED: Final[tuple[dict[str, Any], ...]] = (
    {"primaryEncryptionKey": KEY, "encryptionFormat": "dapr"},
    {**PRIMARY, "secondaryEncryptionKey": reference("KEY"), "encryptionFormat": "dapr"},
    {"decryptionKeys": reference("KEYS")},
    *(
        {**PRIMARY, field: source}
        for at, text in enumerate(WRONG.values())
        for field in FIELDS
        for source in (reference(f"WRONG-{at}"), text)
    ),
)


def with_keys(kind: ComponentType, name: str, keys: dict[str, Any]) -> dict[str, Any]:
    return {**manifest(kind, name, keys), "auth": {"secretStore": "vault"}}


def written(kind: ComponentType, folder: Path, number: int) -> list[str]:
    """Write components with good keys, and with some of the wrong ones, and return their names."""
    some = (*GOOD, *(REFUSED[(5 * number + each) % len(REFUSED)] for each in range(5)))
    for at, keys in enumerate(some):
        (folder / f"store-{at}.yaml").write_text(yaml.safe_dump(with_keys(kind, f"store-{at}", keys)))
    vault = folder.parent / "secrets.json"
    vault.write_text(json.dumps(SECRETS))
    (folder / "vault.yaml").write_text(yaml.safe_dump(vault_at(vault)))
    return [f"store-{at}" for at in range(len(some))]


def vault_at(file: Path) -> dict[str, Any]:
    spec = {
        "type": "secretstores.local.file",
        "version": "v1",
        "metadata": [{"name": "secretsFile", "value": str(file)}],
    }
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "vault", "namespace": "shop"},
        "spec": spec,
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", STORES, ids=lambda kind: f"{kind.name}-{kind.versions[0]}")
def test_all_that_is_said_of_a_store_with_keys(kind: ComponentType, tmp_path: Path, promise: Promise) -> None:
    folder = tmp_path / "components"
    folder.mkdir()
    names = written(kind, folder, STORES.index(kind))
    said: list[str] = []
    sidecar = Pannier(
        "serve", "--app-id", "shop", "--dapr-http-port", "0", "--dapr-grpc-port", "0", "--metrics-port", "0",
        "--log-level", "debug", "--enable-api-logging", "--resources-path", folder,
        environment={"HOME": str(tmp_path), "NAMESPACE": "shop"},
        folder=tmp_path,
    )  # fmt: skip
    try:
        for name in names:
            said.append(str(sidecar.call(f"/v1.0/state/{name}", "POST", '[{"key": "k", "value": 1}]')))
            said.append(str(sidecar.call(f"/v1.0/state/{name}/k")))
        said += said_over_grpc(sidecar.grpc_port(), names)
        said += [str(sidecar.call(path)) for path in ("/v1.0/healthz?verbose", "/v1.0/metadata")]
        said.append(str(call(f"http://127.0.0.1:{sidecar.metrics_port()}/metrics")))
    finally:
        sidecar.process.terminate()
        sidecar.end()
        sidecar.close()
    said += [sidecar.out, sidecar.err, *outputs_of("check", folder, folder=tmp_path)]
    for name in names[:1]:
        said += outputs_of("reencrypt", "--app-id", "shop", "--component", folder / f"{name}.yaml", folder=tmp_path)
    for text in said:
        assert not fragments(text), text[:3000]
    promise(
        "No part of an encryption key appears in logs, answers, metrics, or the output of check and reencrypt",
        on=f"{kind.title}, sidecar and command line, level debug",
        fault="keys in every field of encryption, as values and from secrets, correct and written wrong",
        times=len(names),
        counted=f"{len(names)} components; {sum(map(len, said)) // 1024:,} KiB read; 0 fragments of it found",
    )


def test_verdicts_on_components_with_keys(promise: Promise) -> None:
    memory = next(kind for kind in STORES if kind.name == "state.in-memory")
    read = 0
    for keys in (*GOOD, *REFUSED):
        made = manifest(memory, "orders", keys)
        for said in (*said_by_checks_and_operator(made), *said_by_plan(made, SECRETS)):
            assert not fragments(said), said
            read += len(said)
    promise(
        "No part of an encryption key is shown by check, admission, status, Events or the sidecar's verdict",
        on="every field of encryption",
        fault="keys as values and from secrets, correct and written wrong",
        times=len(GOOD) + len(REFUSED),
        counted=f"{read // 1024:,} KiB read; 0 fragments of it found",
    )


def test_a_part_of_the_key_would_be_found() -> None:
    raw = bytes.fromhex(KEY)
    for text in (
        KEY[3:11].upper(),
        repr(raw[2:9]),
        base64.b64encode(raw).decode(),
        base64.b64encode(b"x" + raw).decode(),
    ):
        assert fragments(f"... {text} ...")


def test_values_that_do_not_open(tmp_path: Path, promise: Promise) -> None:
    place = Place(tmp_path / "place.yaml", "state.sqlite", {"connectionString": str(tmp_path / "state.db")})
    folder = KeyedFolder(tmp_path / "components", place)
    folder.secrets(KEY=KEY, statekey=KEY, KEYS=f"statekey={KEY}\n{OTHER[:-1]}0")
    said: list[str] = []
    for stored, data in ENCRYPTED.items():
        folder.put(f"shop||{stored.replace(' ', '-')}", data)
    for written_as in ("pannier", "dapr"):
        file = folder.store("KEY", None, "KEYS", encryptionFormat=written_as)
        pannier = Pannier(
            "serve", "--app-id", "shop", "--components", folder.path, "--http-port", 0, "--grpc-port", 0,
            "--metrics-port", 0, "--log-level", "debug", "--enable-api-logging",
        )  # fmt: skip
        try:
            keys = [stored.replace(" ", "-") for stored in ENCRYPTED]
            said += [str(pannier.call(f"/v1.0/state/statestore/{key}")) for key in keys]
            said.append(str(pannier.call("/v1.0/state/statestore/bulk", "POST", json.dumps({"keys": keys}))))
            said.append(str(pannier.call("/v1.0-alpha1/state/statestore/query", "POST", "{}")))
            said.append(str(pannier.call("/v1.0-alpha1/state/statestore/keys?values=true")))
            assert "could not decrypt" in said[0]
        finally:
            pannier.process.terminate()
            pannier.end()
            pannier.close()
        said += [pannier.out, pannier.err]
        for verb in (("reencrypt", "--component"), ("export", "--from")):
            said += outputs_of(verb[0], "--app-id", "shop", verb[1], f"{folder.path}#statestore", folder=tmp_path)
        assert "failed: key" in said[-3] + said[-4], file
    for text in said:
        assert not fragments(text), text[:3000]
    promise(
        "No part of an encryption key appears where a value does not open",
        on="SQLite, sidecar and command line, level debug",
        fault="values of other keys, changed, cut off, not encrypted, in both formats",
        times=len(said),
        counted=f"{sum(map(len, said)) // 1024:,} KiB read; 0 fragments of it found",
    )
