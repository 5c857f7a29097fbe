"""A role has the same file and entry point in every store: docs/adding-a-store.md."""

import ast
from pathlib import Path

import pytest

from pannier_sidecar import stores

PACKAGES = sorted(path.parent for path in Path(stores.__file__).parent.glob("*/store.py"))


def functions(module: Path) -> dict[str, ast.FunctionDef]:
    return {each.name: each for each in ast.parse(module.read_text()).body if isinstance(each, ast.FunctionDef)}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_settings_are_read_by_read_settings(package: Path) -> None:
    read = functions(package / "settings.py")["read_settings"]
    assert len(read.args.args) == 1


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_errors_are_translated_by_translate(package: Path) -> None:
    translate = functions(package / "errors.py")["translate"]
    assert translate.args.args[0].arg == "error"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_what_is_stored_is_in_layout(package: Path) -> None:
    assert (package / "layout.py").is_file()
