"""Secrets of Secrets Manager and Parameter Store are read in Dapr's form (on moto)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.moto_server import MotoServer
from servers.rotated_secret import rotated, serving
from servers.secret_servers import read, read_all

from pannier_sidecar.secret_reader import SecretMissingError

MANAGER, PARAMETERS = "secretstores.aws.secretmanager", "secretstores.aws.parameterstore"
SEVERAL = {"multipleKeyValuesPerSecret": "true"}
COMPONENT = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: aws}}
spec:
  type: {kind}
  version: v1
  metadata:
  - {{name: region, value: eu-central-1}}
  - {{name: endpoint, value: "{endpoint}"}}
  - {{name: refreshInterval, value: 200ms}}
  - {{name: {more[0]}, value: "{more[1]}"}}
"""


@pytest.fixture
def names() -> Iterator[str]:
    return (f"shop-{next(_numbers)}" for _ in itertools.count())


_numbers = itertools.count(1)


def test_a_secret_is_one_text_or_several(moto: MotoServer, names: Iterator[str]) -> None:
    name, plain, binary = next(names), next(names), next(names)
    client = moto.client("secretsmanager")
    written = '{"password": "x", "port": 6379, "tls": {"on": true}, "\\u00fc": null}'
    arn = client.create_secret(Name=name, SecretString=written)["ARN"]
    client.create_secret(Name=plain, SecretString="[1]")
    client.create_secret(Name=binary, SecretBinary=b"x")
    settings = dict(moto.settings)
    assert read(MANAGER, settings, name) == {name: written}
    assert read(MANAGER, settings, arn) == {name: written}  # as in Dapr, the key is AWS's name
    assert read(MANAGER, {**settings, **SEVERAL}, name) == {
        "password": "x",
        "port": "6379",
        "tls": '{"on": true}',
        "ü": "null",
    }
    assert read(MANAGER, {**settings, **SEVERAL}, plain) == {plain: "[1]"}
    with pytest.raises(SecretMissingError, match="is binary; store it as text"):
        read(MANAGER, settings, binary)
    every = read_all(MANAGER, settings)
    assert every[plain] == {plain: "[1]"} and every[name] == {name: written} and binary not in every


def test_a_version_is_chosen_by_the_request(moto: MotoServer, names: Iterator[str]) -> None:
    name = next(names)
    client = moto.client("secretsmanager")
    first = client.create_secret(Name=name, SecretString="1")["VersionId"]
    client.put_secret_value(SecretId=name, SecretString="2")
    settings = dict(moto.settings)
    assert read(MANAGER, settings, name) == {name: "2"}
    assert read(MANAGER, settings, name, version_id=first) == {name: "1"}
    assert read(MANAGER, settings, name, version_stage="AWSPREVIOUS") == {name: "1"}
    with pytest.raises(SecretMissingError, match="no such version of it"):
        read(MANAGER, settings, name, version_id="00000000-0000-0000-0000-000000000000")
    client.delete_secret(SecretId=name)
    with pytest.raises(SecretMissingError, match="it is marked for deletion"):
        read(MANAGER, settings, name)
    for missing in ("nothing", "x" * 2049):
        with pytest.raises(SecretMissingError):
            read(MANAGER, settings, missing)


def test_parameters_are_decrypted_and_found_by_their_prefix(moto: MotoServer, names: Iterator[str]) -> None:
    prefix = f"/{next(names)}/"
    client = moto.client("ssm")
    client.put_parameter(Name=f"{prefix}redis", Value="1", Type="SecureString")
    client.put_parameter(Name=f"{prefix}redis", Value="2", Type="SecureString", Overwrite=True)
    client.put_parameter(Name=f"{prefix}db/host", Value="h", Type="String")
    settings = {**moto.settings, "prefix": prefix}
    assert read(PARAMETERS, settings, "redis") == {"redis": "2"}
    assert read(PARAMETERS, settings, "redis", version_id="1") == {"redis": "1"}
    assert read(PARAMETERS, dict(moto.settings), f"{prefix}db/host") == {f"{prefix}db/host": "h"}
    assert read_all(PARAMETERS, settings) == {"redis": {"redis": "2"}, "db/host": {"db/host": "h"}}
    for missing, version in (("nothing", ""), ("redis", "7"), ("", "")):
        with pytest.raises(SecretMissingError, match="there is none|no such version"):
            read(PARAMETERS, settings, missing, version_id=version)


def test_a_list_of_several_pages_is_read_as_a_whole(moto: MotoServer, names: Iterator[str]) -> None:
    prefix = f"/{next(names)}/"
    client = moto.client("ssm")
    for number in range(60):
        client.put_parameter(Name=f"{prefix}{number}", Value="x", Type="String")
    assert len(read_all(PARAMETERS, {**moto.settings, "prefix": prefix})) == 60


@pytest.mark.parametrize("kind", [MANAGER, PARAMETERS])
def test_a_password_is_rotated_without_a_failed_call(moto: MotoServer, tmp_path: Path, kind: str) -> None:
    def put(password: str) -> None:
        if kind == PARAMETERS:
            moto.client("ssm").put_parameter(Name="/a/redis", Value=password, Type="SecureString", Overwrite=True)
        else:
            client = moto.client("secretsmanager")
            content = f'{{"redis": "{password}"}}'
            if any(each["Name"] == "redis" for each in client.list_secrets()["SecretList"]):
                client.put_secret_value(SecretId="redis", SecretString=content)
            else:
                client.create_secret(Name="redis", SecretString=content)

    folder = tmp_path / "components"
    folder.mkdir()
    more = ("prefix", "/a/") if kind == PARAMETERS else ("multipleKeyValuesPerSecret", "true")
    endpoint = moto.endpoint.replace("127.0.0.1", "localhost")  # so that Pannier.port() does not find it in the log
    (folder / "aws.yaml").write_text(COMPONENT.format(kind=kind, endpoint=endpoint, more=more))
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s3cret-canary"}
    with serving(folder) as serve, rotated(folder, serve, "aws", put, "redis", keys) as pannier:
        assert "s3cret-canary-new" in pannier.call("/v1.0/secrets/aws/redis")[1]
