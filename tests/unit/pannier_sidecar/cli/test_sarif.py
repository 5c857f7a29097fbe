"""The report in SARIF names each problem's place and level, and gives problems of the same field the same rule."""

from pannier_crds.problems import Problem
from pannier_sidecar.cli.check import Verdict
from pannier_sidecar.cli.sarif import sarif


def test_a_report() -> None:
    wrong = Problem("error", "spec.metadata[redisDB].value", "'x' is not a whole number", "write a whole number", 9)
    doubtful = Problem("warning", "", "is empty")
    [run] = sarif([Verdict("my stores/a.yaml", "a", wrong), Verdict("/tmp/b.yaml", "", doubtful)])["runs"]
    assert run["tool"]["driver"]["rules"] == [{"id": "document"}, {"id": "spec.metadata.value"}]
    first, second = run["results"]
    place = first["locations"][0]["physicalLocation"]
    assert (first["ruleId"], first["level"]) == ("spec.metadata.value", "error")
    assert first["message"]["text"].startswith("spec.metadata[redisDB].value: 'x' is not")
    assert place == {"artifactLocation": {"uri": "my%20stores/a.yaml"}, "region": {"startLine": 9}}
    assert second["level"] == "warning"
    assert second["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///tmp/b.yaml"
