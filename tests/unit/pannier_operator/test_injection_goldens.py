"""Situations as pairs of readable files: a pod before, and what it becomes, its warnings on top. A few have a
third file: the namespace's Components.

`.venv/bin/python tests/unit/pannier_operator/test_injection_goldens.py` writes the second files again; read them before
you commit them.
"""

from pathlib import Path

import pytest
import yaml

from pannier_crds.component import Component
from pannier_operator.admission.pods import mutate
from pannier_operator.settings import OperatorSettings

FOLDER = Path(__file__).parent / "goldens"
SITUATIONS = sorted(path.name.removesuffix(".before.yaml") for path in FOLDER.glob("*.before.yaml"))


def after(situation: str) -> str:
    pod = yaml.safe_load((FOLDER / f"{situation}.before.yaml").read_text())
    components = components_of(situation)
    verdict = mutate(pod, {}, OperatorSettings(), namespace="shop", server_version=(1, 35), components=components)
    assert verdict.errors == ()
    lines = [f"# Warning: {warning}\n" for warning in verdict.warnings]
    lines += ["# Unchanged.\n"] if verdict.pod is pod else []
    return "".join(lines) + yaml.safe_dump(verdict.pod, sort_keys=False, width=120)


def components_of(situation: str) -> list[Component]:
    file = FOLDER / f"{situation}.components.yaml"
    return [Component.from_manifest(each) for each in yaml.safe_load_all(file.read_text())] if file.exists() else []


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_pod_becomes_what_the_golden_says(situation: str) -> None:
    assert after(situation) == (FOLDER / f"{situation}.after.yaml").read_text()


def test_no_golden_is_left_over() -> None:
    files = {path.name for path in FOLDER.iterdir()}
    pairs = {f"{situation}.{when}.yaml" for situation in SITUATIONS for when in ("before", "after")}
    assert files - {f"{situation}.components.yaml" for situation in SITUATIONS} == pairs


if __name__ == "__main__":
    for each in SITUATIONS:
        (FOLDER / f"{each}.after.yaml").write_text(after(each))
