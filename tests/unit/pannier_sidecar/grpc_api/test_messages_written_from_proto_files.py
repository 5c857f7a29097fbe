"""scripts/grpc-messages: the structs that it makes from .proto files, and the files that it refuses."""

import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from pannier_sidecar.protobuf import decode, encode

SCRIPT = Path(__file__).resolve().parents[4] / "scripts/grpc-messages"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], ModuleType]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(file: Path) -> ModuleType:
        loader = SourceFileLoader(file.stem.replace("-", "_"), str(file))
        spec = spec_from_loader(loader.name, loader)
        assert spec is not None
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, loader.name, module)  # the types of its annotations are looked up here
        loader.exec_module(module)
        return module

    return load


@pytest.fixture
def script(tmp_path: Path, load: Callable[[Path], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load(SCRIPT)
    monkeypatch.setattr(module, "PROTOS", tmp_path)
    return module


def write(folder: Path, package: str, text: str) -> None:
    (folder / f"{package}.proto").write_text(f'syntax = "proto3";\npackage {package};\n{text}')


def test_structs_have_the_fields_of_their_messages(
    script: ModuleType, load: Callable[[Path], ModuleType], tmp_path: Path
) -> None:
    write(tmp_path, "a", "message Same { string someText = 1; }")
    write(
        tmp_path,
        "b",
        """
        message Same { string some_text = 1; }
        message Outer {
          message Inner { bytes data = 3; }
          enum Kind { NONE = 0; SOME = 1; }
          repeated Inner inners = 2;
          Kind kind = 3;
          map<string, string> labels = 4;
          optional bool is_set = 5;
          oneof one { string text = 6; int32 number = 7; }
          int64 long = 8;
        }
        """,
    )
    file = tmp_path / "made_of_protos.py"
    file.write_text(script.structs(script.compiled()))
    made = load(file)
    assert made.Same.__doc__ == "Of a and b."
    outer = made.Outer([made.Inner(b"x"), made.Inner()], 1, {"k": "v"}, False, None, 0, -(2**63))
    assert decode(made.Outer, encode(outer)) == outer
    assert made.Outer() == made.Outer([], 0, {}, None, None, None, 0)
    assert encode(made.Same(some_text="t")) == b"\x0a\x01t"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("message Same { string other = 1; }", "b.Same differs from Same in a"),
        ("message M { double share = 1; }", "share: .* has no fields of this type"),
        ("message M { map<string, int32> counts = 1; }", "M: a map has to be map<string, string>"),
        ("message M { repeated int32 numbers = 1; }", "numbers: .* has no lists of this type"),
    ],
)
def test_proto_files_that_the_engine_cannot_read_are_refused(
    script: ModuleType, tmp_path: Path, text: str, why: str
) -> None:
    write(tmp_path, "a", "message Same { string text = 1; }")
    write(tmp_path, "b", text)
    with pytest.raises(SystemExit, match=why):
        script.structs(script.compiled())


def test_descriptors_are_those_of_services_and_what_they_import(script: ModuleType, tmp_path: Path) -> None:
    write(tmp_path, "used", "message Used {}")
    write(tmp_path, "unused", "message Unused {}")
    write(tmp_path, "served", 'import "used.proto"; service S { rpc Do(used.Used) returns (used.Used); }')
    found = script.json.loads(script.descriptors(script.compiled()))
    assert list(found) == ["used.proto", "served.proto"]
    assert found["served.proto"]["imports"] == ["used.proto"]
    assert found["served.proto"]["symbols"] == ["served.S", "served.S.Do"]
