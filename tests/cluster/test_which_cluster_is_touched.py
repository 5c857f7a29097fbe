"""KUBECONFIG may name anybody's cluster: tests use it only if the name of its context allows that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cluster import choice


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def write(path: Path, context: str) -> None:
    contexts = [{"name": context, "context": {"cluster": "somewhere", "user": "somebody"}}]
    content = {"apiVersion": "v1", "kind": "Config", "contexts": contexts, "current-context": context}
    path.write_text(json.dumps(content))


def test_a_cluster_that_nobody_marked_for_tests_is_refused(kubeconfig: Path) -> None:
    write(kubeconfig, "production")

    with pytest.raises(AssertionError, match="kubectl config rename-context production pannier-test"):
        choice.given()


def test_a_cluster_that_is_marked_is_used_as_it_is(kubeconfig: Path) -> None:
    write(kubeconfig, "my-pannier-test")

    assert choice.given().kubeconfig == kubeconfig


def test_images_come_to_an_unknown_cluster_by_the_command_that_its_owner_names(
    kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(kubeconfig, "my-pannier-test")
    monkeypatch.setenv("PANNIER_LOAD_IMAGE", f"cp -t {tmp_path / 'nodes'}")
    (tmp_path / "nodes").mkdir()
    (tmp_path / "image").write_text("layers")

    choice.given().load_image(str(tmp_path / "image"))

    assert (tmp_path / "nodes" / "image").read_text() == "layers"


def test_without_that_command_the_message_asks_for_it(kubeconfig: Path) -> None:
    write(kubeconfig, "my-pannier-test")

    with pytest.raises(AssertionError, match="Set PANNIER_LOAD_IMAGE"):
        choice.given().load_image("localhost/pannier-sidecar:dev")
