"""A role has the same file and entry point in every store: docs/adding-a-store.md."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from unit.tables import each_row

from pannier_crds import catalogue
from pannier_sidecar import stores

PACKAGES = sorted(path.parent for path in Path(stores.__file__).parent.glob("*/store.py"))


def functions(module: Path) -> dict[str, ast.FunctionDef]:
    return {each.name: each for each in ast.parse(module.read_text()).body if isinstance(each, ast.FunctionDef)}


@each_row("package", PACKAGES)
def test_settings_are_read_by_read_settings(package: Path) -> None:
    read = functions(package / "settings.py")["read_settings"]
    assert len(read.args.args) == 1


@each_row("package", PACKAGES)
def test_settings_are_read_once_when_a_store_is_made(package: Path) -> None:
    """Wrong settings are refused before anything is opened, and no store has a state in which it has none."""
    classes = [each for each in ast.parse((package / "store.py").read_text()).body if isinstance(each, ast.ClassDef)]
    made = [each for of_class in classes for each in of_class.body if getattr(each, "name", "") == "__init__"]
    read = "self._settings = read_settings(settings)"
    assert [ast.unparse(each).count(read) for each in made if "Mapping" in ast.unparse(each)] == [1]
    assert (package / "store.py").read_text().count("read_settings(") == 1


def is_over_http_client(package: Path) -> bool:
    """Return whether `network/http_client.py` translates the errors of the store's connections."""
    client = package / "client.py"
    return client.is_file() and "network.http_client" in client.read_text()


@each_row("package", [each for each in PACKAGES if not is_over_http_client(each)])
def test_errors_are_translated_by_translate(package: Path) -> None:
    translate = functions(package / "errors.py")["translate"]
    assert translate.args.args[0].arg == "error"


@each_row("package", PACKAGES)
def test_every_store_has_a_layout(package: Path) -> None:
    assert (package / "layout.py").is_file()


@each_row("package", [each for each in PACKAGES if each.name != "pluggable"])  # it is in no catalogue
def test_defaults_are_in_the_catalogue_alone(package: Path) -> None:
    served = {name.partition("/")[0] for name in import_module(f"{stores.__name__}.{package.name}").STORES}
    kinds = [kind for kind in catalogue.known_types() if kind.name in served]
    fields = [field for kind in kinds for field in kind.fields if field.kind != "choice"]  # stores know the choices
    defaults = {field.default for field in fields if field.default and field.default is not True}
    assert defaults and not defaults & set(constants(package / "settings.py"))


def constants(module: Path) -> Iterator[object]:
    """Yield the literal values in a module, without parts of f-strings and booleans."""
    pending: list[ast.AST] = [ast.parse(module.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Constant) and not isinstance(node.value, bool):
            yield node.value
        elif not isinstance(node, ast.JoinedStr):
            pending.extend(ast.iter_child_nodes(node))
