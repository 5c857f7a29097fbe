"""Files of `--config`: variables as Go replaces them, several files merged, the last right content stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from servers.eventually import until
from unit.tables import each_row

from pannier_crds.configuration import Configuration
from pannier_crds.secret import reveal
from pannier_sidecar.loading import configuration_files
from pannier_sidecar.loading.configuration_files import ConfigurationFiles, WrongConfigurationError, read_file
from pannier_sidecar.loading.environment_in_text import expand

HEAD = "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\n"
CANARY = "s3cret-canary-of-a-variable"
VARIABLES = {"A": "1", "LONG_NAME": "x y", "TOKEN": CANARY}


@each_row(
    ("text", "expanded"),
    [
        ("a: $A", "a: 1"),
        ("a: ${A}b", "a: 1b"),
        ("$LONG_NAME-$A", "x y-1"),
        ("$UNKNOWN|${UNKNOWN}|", "||"),
        ("ends in $", "ends in $"),
        ("regex: ^a$ and $/", "regex: ^a$ and $/"),
        ("${}x", "x"),
        ("${A", "A"),
        ("$$A", "A"),
        ("$1A", "A"),
        ("${A b}", ""),
    ],
)
def test_variables_are_replaced_as_go_does(text, expanded):
    assert expand(text, VARIABLES).text == expanded


def test_a_variable_that_is_not_set_is_told_with_its_line():
    (remark,) = expand("a: $A\nb: ${NOT_SET}\n", VARIABLES).remarks
    assert (remark.line, remark.severity) == (2, "warning") and "NOT_SET is not set" in remark.message


@each_row(
    ("text", "said"),
    [
        ("", "there is nothing in the file"),
        ("a: [", "c.yaml:1: "),
        (HEAD.replace("Configuration", "Component"), "kind: is 'Component'; write 'kind: Configuration'"),
        (HEAD.replace("Configuration", "Configuraton"), "kind: is 'Configuraton'; write 'kind: Configuration'"),
        (HEAD.replace("v1alpha1", "v1"), "apiVersion: is 'dapr.io/v1'; write 'apiVersion: dapr.io/v1alpha1'"),
        (HEAD + "spec:\n  tracing: {samplingRate: x}\n", "c.yaml:5: spec.tracing.samplingRate: 'x' is not a number"),
        (HEAD + "spec: {}\nspec: {}\n", "c.yaml:5: spec: "),
        (HEAD + "spec: {tracing: {samplingRate: $TOKEN}}\n", "what a variable was replaced by (TOKEN) can't be used"),
        (HEAD + "spec: {a: $TOKEN: b}\n", "c.yaml:4: broken YAML"),
        (HEAD + "# $TOKEN" * 50_000, "c.yaml:1: the file is larger than 1 MiB with its variables"),
        (HEAD + "# \udcff $A", "the file is not UTF-8 text"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_without_values_of_variables(tmp_path, text, said):
    path = tmp_path / "c.yaml"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(WrongConfigurationError) as refused:
        ConfigurationFiles([path], VARIABLES).read()
    line = str(refused.value)
    assert said in line and CANARY not in line and "\n" not in line


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(WrongConfigurationError, match=r"/none\.yaml: there is no such file; correct --config"):
        ConfigurationFiles([tmp_path / "none.yaml"], {}).read()


def test_other_documents_of_a_file_are_left_out():
    component = "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: s}\n"
    read = read_file((component + "---\n" + HEAD).encode(), {})
    assert [document.kind for document in read.documents] == ["Configuration"] and not read.problems


def logging(is_enabled: bool) -> str:
    return HEAD + f"spec:\n  logging: {{apiLogging: {{enabled: {str(is_enabled).lower()}}}}}\n"


async def test_changed_files_take_effect_and_wrong_ones_do_not(tmp_path: Path, caplog, monkeypatch):
    monkeypatch.setattr(configuration_files, "PATIENCE", 0.05)
    one, other = tmp_path / "1.yaml", tmp_path / "2.yaml"
    one.write_text(HEAD + "spec:\n  components: {deny: [state.redis]}\n")
    other.write_text(logging(False))
    files = ConfigurationFiles([one, other], {})
    assert not files.read().api_logging.is_enabled and files.current.denied_components
    seen: list[tuple[Configuration | None, Configuration]] = []
    files.on_change = lambda before, now: seen.append((before, now))
    files.start(0.01)
    try:
        other.write_text(logging(True))
        await until(lambda: seen)
        assert seen[0][1].api_logging.is_enabled and seen[0][1].denied_components  # the first file is still there
        for text in (logging(True).replace("apiLogging", "apiLoging"), "", "{"):
            caplog.clear()
            other.write_text(text)
            await until(lambda: "stays as it was" in caplog.text)
            assert f"refused: {other}:" in caplog.text
        caplog.clear()
        other.unlink()
        await until(lambda: "stays as it was" in caplog.text)
        assert len(seen) == 1 and files.current is seen[0][1]
        caplog.set_level("INFO")
        other.write_text(logging(True))
        await until(lambda: "the Configuration is correct again" in caplog.text)
        assert len(seen) == 1
        other.write_text(logging(False))
        await until(lambda: len(seen) == 2)
        assert not files.current.api_logging.is_enabled
    finally:
        await files.stop()


HEADER = "{name: key, secretKeyRef: {name: collector, key: token}}"
WITH_SECRET = HEAD + "spec: {tracing: {otel: {endpointAddress: 'c:1', protocol: grpc, headers: [" + HEADER + "]}}}\n"


def header_of(files: ConfigurationFiles) -> str:
    otel = files.current.tracing.otel
    assert otel is not None
    return reveal(otel.headers[0].value)


async def test_secrets_of_headers_are_read_from_the_delivered_file_and_again_when_they_change(tmp_path: Path, caplog):
    config, secrets = tmp_path / "c.yaml", tmp_path / "_kubernetes-secrets"
    config.write_text(WITH_SECRET)
    secrets.write_text(json.dumps({"collector": {"token": CANARY}}))
    files = ConfigurationFiles([config], {}, secrets)
    files.read()
    assert header_of(files) == CANARY
    seen: list[Configuration] = []
    files.on_change = lambda _, now: seen.append(now)
    files.start(0.01)
    try:
        secrets.write_text(json.dumps({"collector": {"token": CANARY + "2"}}))
        await until(lambda: seen)
        assert header_of(files) == CANARY + "2"
    finally:
        await files.stop()
    assert CANARY not in caplog.text + repr(files.current)


@each_row("content", ["", "[", "[1]", '{"collector": 1}', '{"collector": {"other": "x"}}'])
def test_a_secret_that_is_not_there_leaves_the_header_without_a_value(content):
    found = configuration_files._secrets_in(content.encode())
    assert ("collector", "token") not in found


def test_from_a_file_alone_no_secret_is_read_which_is_said():
    (remark,) = read_file(WITH_SECRET.encode(), {}).problems
    assert str(remark) == (
        "spec.tracing.otel.headers[0].secretKeyRef: is read in a cluster only: with --config FILE the header is not "
        "sent; write value or envRef"
    )
    assert read_file(WITH_SECRET.encode(), {}, has_secrets=True).problems == ()


async def test_the_state_names_the_generation_in_effect_and_why_a_later_one_is_not(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(configuration_files, "PATIENCE", 0.05)
    path = tmp_path / "c.yaml"

    def generation(number: int, spec: str = "{}") -> str:
        annotations = f"{{pannier.dev/generation: '{number}'}}"
        return HEAD.replace("{name: c}", "{name: c, annotations: " + annotations + "}") + f"spec: {spec}\n"

    path.write_text(generation(1))
    files = ConfigurationFiles([path], {})
    files.read()

    def state() -> tuple[str, str, str]:
        (found,) = files.states()
        return found.name, found.version, found.why

    assert state() == ("c", "1", "")
    files.start(0.01)
    try:
        path.write_text(generation(2))
        await until(lambda: state() == ("c", "2", ""))
        path.write_text(generation(3, "{api: {alowed: []}}"))
        await until(lambda: "its latest version is refused" in state()[2])
        assert state()[1] == "2" and "write 'allowed'" in state()[2]
        path.write_text(generation(4, "{features: [{name: HotReload, enabled: false}]}"))
        await until(lambda: state()[1] == "4")
        assert state()[2] == "the feature HotReload is off, so a later version takes effect when the pod starts again"
    finally:
        await files.stop()
