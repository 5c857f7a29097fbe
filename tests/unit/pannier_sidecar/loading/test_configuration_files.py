"""Files of `--config`: variables as Go replaces them, several files merged, the last right content stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from servers.eventually import until
from unit.tables import each_row

from pannier_crds.configuration import Configuration
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
