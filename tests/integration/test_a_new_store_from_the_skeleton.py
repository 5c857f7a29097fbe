"""`scripts/new-store` writes a store that passes the linters and its own tests, and that every list knows."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COPIED = ("charts", "crds", "docs", "examples", "operator", "scripts", "sidecar", "tests")
SOURCES = ("crds/src", "sidecar/src", "operator/src")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "bench*", "hostile", "scenarios")
"""Bytecode files appear and disappear while other tests run."""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree in which a store was added."""
    tree = tmp_path_factory.mktemp("tree")
    for name in COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=LEFT_OUT)
    for name in ("ARCHITECTURE.md", "README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tree)
    run(tree, "scripts/new-store", "quick_rock", "--title", "QuickRock", "--package", "quick-rock")
    return tree


def run(tree: Path, *command: object, **environment: object) -> str:
    """Run Python with all imports from the copy; return what it prints."""
    path = os.pathsep.join(str(tree / source) for source in SOURCES)
    finished = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": path, **{name: str(value) for name, value in environment.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


def files_of(tree: Path) -> list[str]:
    """Return the Python files of the store."""
    return sorted(str(path) for path in tree.rglob("*.py") if "quick_rock" in str(path.relative_to(tree)))


@pytest.mark.timeout(300)
def test_linters_take_it(tree: Path) -> None:
    files = files_of(tree)
    assert len(files) > 8
    run(tree, "-m", "ruff", "check", *files)
    run(tree, "-m", "ruff", "format", "--check", *files)
    run(tree, "-m", "mypy", "--follow-imports=silent", "-p", "pannier_sidecar.stores.quick_rock")
    of_tests = [path for path in files if path.startswith(str(tree / "tests"))]
    run(tree, "-m", "mypy", "--follow-imports=silent", "--explicit-package-bases", *of_tests, MYPYPATH=tree / "tests")
    run(tree, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-logo")
    run(tree, "scripts/words")


@pytest.mark.timeout(300)
def test_its_own_tests_pass_and_lists_know_it(tree: Path) -> None:
    of_all = ("pannier_crds/test_the_catalogue.py", "pannier_sidecar/stores/test_finding_a_stores_class.py")
    same_shape = "pannier_sidecar/stores/test_every_store_has_the_same_shape.py"
    own = [path for path in files_of(tree) if Path(path).name.startswith("test_")]
    assert len(own) == 3
    run(tree, "-m", "pytest", "-q", *own, *(f"tests/unit/{name}" for name in (*of_all, same_shape)))


def test_documents_and_extras_have_it(tree: Path) -> None:
    for script in ("catalogue-names", "component-tables", "component-rules", "import-rules"):
        run(tree, f"scripts/{script}", "--check")
    assert "## QuickRock: `state.quick-rock`" in (tree / "docs/components.md").read_text()
    assert 'quick-rock = ["quick-rock"]' in (tree / "sidecar/pyproject.toml").read_text()
    found = run(tree, "-m", "pannier_sidecar", "check", "examples/components/quick_rock")
    assert found == "1 component fine, 0 errors, 0 warnings\n"


def test_a_store_that_exists_is_not_written_again(tree: Path) -> None:
    with pytest.raises(AssertionError, match="exists already"):
        run(tree, "scripts/new-store", "redis")
