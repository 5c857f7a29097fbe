"""The registry: classes by component type, imported on demand, and the error if that fails."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from unit.tables import each_row

from pannier_crds import catalogue
from pannier_sidecar import secret_stores, stores
from pannier_sidecar.secret_stores import server
from pannier_sidecar.state.errors import StoreRefusedError
from pannier_sidecar.state.store import Store
from pannier_sidecar.stores import registry
from pannier_sidecar.stores.registry import Entry

ROOT = Path(__file__).parents[4]


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("store_"):
            del sys.modules[name]


@each_row("store_type", list(registry.all_entries()))
def test_every_type_has_its_class(store_type: str) -> None:
    name, _, version = store_type.partition("/")
    assert issubclass(registry.load(name, version or "v1"), Store)


def test_every_type_of_the_catalogue_has_one() -> None:
    known = {*catalogue.known_names("state."), registry.PLUGGABLE}
    assert known == {entry.partition("/")[0] for entry in registry.all_entries()}


def test_every_package_serves_a_type() -> None:
    served = {entry.path.split(".")[2].partition(":")[0] for entry in registry.all_entries().values()}
    assert served == {each.name for each in iter_modules(stores.__path__)} - {"registry"}


def test_every_extra_is_there_and_part_of_all() -> None:
    extras = tomllib.loads((ROOT / "sidecar" / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    [everything] = extras.pop("all")
    assert sorted(everything.removeprefix("pannier-sidecar[").removesuffix("]").split(",")) == sorted(extras)
    of_no_store = {
        "aws-tokens",
        "azure-tokens",
        "credential-providers",
        "encryption",
        "otel",
        "otel-grpc",
        *(server.package_of(name).EXTRA for name in remote_secret_stores()),
    }
    assert {entry.extra for entry in registry.all_entries().values()} - {None} == extras.keys() - of_no_store


def remote_secret_stores() -> list[str]:
    names = catalogue.known_names("secretstores.")
    return [name for name in names if catalogue.module_of(name) != "local_secrets"]


@each_row("name", remote_secret_stores())
def test_every_secret_store_on_another_machine_has_its_package(name: str) -> None:
    package = server.package_of(name)
    assert callable(import_module(f"{package.__name__}.store").open_server)
    assert package.PACKAGES


def test_every_package_of_a_secret_store_serves_a_type_of_the_catalogue() -> None:
    served = {server.package_of(name).__name__.rpartition(".")[2] for name in remote_secret_stores()}
    assert served == {each.name for each in iter_modules(secret_stores.__path__) if each.ispkg}


@pytest.mark.parametrize("store_type", ["state.nothing", "secretstores.local.env", "nothing"])
def test_what_is_no_store_is_served_by_none(store_type: str) -> None:
    with pytest.raises(StoreRefusedError, match=f"no state store serves type {store_type}; known types: state.aws.dyn"):
        registry.load(store_type)


def test_an_entry_of_the_version_goes_first() -> None:
    entries = {
        "state.rock": Entry("pannier_sidecar.stores.in_memory:InMemoryStore"),
        "state.rock/v2": Entry("pannier_sidecar.stores.sqlite.store:SQLiteStore"),
    }
    loaded = [registry.load("state.rock", version, entries).__name__ for version in ("v1", "v2")]
    assert loaded == ["InMemoryStore", "SQLiteStore"]


def test_an_unknown_type_gets_the_known_ones() -> None:
    entries = {name: Entry("nowhere:Store") for name in ("state.rock", "state.clay", "state.rock/v2")}
    with pytest.raises(StoreRefusedError, match=r"serves type state.sand; known types: state.clay, state.rock$"):
        registry.load("state.sand", entries=entries)


def test_a_missing_extra_says_how_to_install_it(importable: Path) -> None:
    (importable / "store_of_rock.py").write_text("import stoneage\n\nclass RockStore: ...\n")
    entries = {"state.rock": Entry("store_of_rock:RockStore", "rock", {"stoneage": "stone-age"})}
    with pytest.raises(StoreRefusedError) as caught:
        registry.load("state.rock", entries=entries)
    assert str(caught.value) == "state.rock needs the package stone-age: pip install 'pannier-sidecar[rock]'"


def test_a_module_that_is_missing_for_another_reason_is_a_defect(importable: Path) -> None:
    (importable / "store_of_rock.py").write_text("import a_module_of_nobody\n")
    entries = {"state.rock": Entry("store_of_rock:RockStore", "rock", {"stoneage": "stone-age"})}
    with pytest.raises(ModuleNotFoundError, match="a_module_of_nobody"):
        registry.load("state.rock", entries=entries)


def test_an_installed_but_broken_library_is_not_called_missing(importable: Path) -> None:
    (importable / "stoneage.py").write_text("import a_module_of_nobody\n")
    (importable / "store_of_rock.py").write_text("import stoneage\n")
    entries = {"state.rock": Entry("store_of_rock:RockStore", "rock", {"stoneage": "stone-age"})}
    with pytest.raises(ModuleNotFoundError, match="a_module_of_nobody"):
        registry.load("state.rock", entries=entries)


def test_only_what_components_need_is_imported() -> None:
    code = (
        "import sys; from pannier_sidecar.stores import registry; registry.load('state.in-memory');"
        "libraries = {name for entry in registry.all_entries().values() for name in entry.packages or ()};"
        "print(sorted({'sqlite3', 'redis', *libraries} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
