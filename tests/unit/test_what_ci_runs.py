"""CI runs every file of tests, in one of the parts that run at the same time."""

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

TESTS = Path(__file__).resolve().parents[1]


def script() -> ModuleType:
    loader = SourceFileLoader("test_in_parts", str(TESTS.parent / "scripts" / "test-in-parts"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_each_file_of_tests_is_in_one_part() -> None:
    in_parts = script()
    places = [place for _, some in in_parts.parts() for place in some] + in_parts.MEASURED
    for file in TESTS.rglob("test_*.py"):
        path = file.relative_to(TESTS)
        holding = [place for place in places if path.is_relative_to(place)]
        assert len(holding) == 1, f"tests/{path} is in {holding or 'no part of CI'}"
