"""The GitHub Action and the hook of pre-commit check components: what their files say is run as they would run it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]


def run_action(folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the steps of action.yml one after another, as a runner does: a step that fails is the last."""
    action: Any = yaml.safe_load((ROOT / "action.yml").read_text())
    given = {name: inputs.get(name, declared.get("default", "")) for name, declared in action["inputs"].items()}
    environment = {**os.environ, "RUNNER_TEMP": str(folder / "temporary"), "GITHUB_ACTION_PATH": str(ROOT)}
    for step in action["runs"]["steps"]:
        values = {name: _filled_in(text, given) for name, text in step["env"].items()}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        ran = subprocess.run(
            command, cwd=folder, env={**environment, **values}, capture_output=True, text=True, check=False
        )
        if ran.returncode:
            break
    return ran


def _filled_in(text: str, given: dict[str, str]) -> str:
    for name, value in given.items():
        text = text.replace(f"${{{{ inputs.{name} }}}}", value)
    return text


def component(folder: Path, type_name: str) -> None:
    manifest = f"apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {{name: a}}\nspec: {{type: {type_name}}}\n"
    (folder / "components").mkdir(exist_ok=True)
    (folder / "components" / "a.yaml").write_text(manifest)


def test_the_action_reports_mistakes_and_fails(tmp_path: Path) -> None:
    component(tmp_path, "state.reddis")
    wrong = run_action(tmp_path, paths="components", python=sys.executable)
    assert wrong.returncode == 1
    assert "components/a.yaml:4: error: spec.type" in wrong.stdout
    [result] = json.loads((tmp_path / "pannier.sarif").read_text())["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "components/a.yaml"


def test_the_hook_checks_the_files_that_it_is_given(tmp_path: Path) -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    component(tmp_path, "state.reddis")
    program, *arguments = hook["entry"].split()
    command = [str(Path(sys.executable).with_name(program)), *arguments, "components/a.yaml"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 1
