"""ARCHITECTURE.md and docs/where-a-change-goes.md guide newcomers: every file and every name of the code in them exists
under that name.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("crds/src", "sidecar/src", "operator/src")
STORES = "sidecar/src/pannier_sidecar/stores"
OTHERS = ("crds", "charts", "docs", "tests", "scripts", ".ci")
AT_THE_TOP = ("pyproject.toml", "constraints.txt", "Dockerfile.sidecar", "Dockerfile.operator")
RULES = r"<!-- import rules.*?<!-- end of import rules -->"
PAGES = ("ARCHITECTURE.md", "docs/where-a-change-goes.md")
WHOLE_PAGES = re.sub(RULES, "", "\n".join((ROOT / page).read_text() for page in PAGES), flags=re.DOTALL)
TEXT = re.sub(r"```.*?```", "", WHOLE_PAGES, flags=re.DOTALL)
QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", TEXT)))
FILE = r"[\w-]+(\.schema)?\.(py|yaml|md|toml|json|tpl|txt)|Dockerfile\.\w+"
PATHS = [text for text in QUOTED if re.fullmatch(rf"[A-Za-z_.][\w.-]*/[\w./-]*|{FILE}", text)]
NAMES = [text for text in QUOTED if re.fullmatch(r"\w*[a-z][A-Z]\w*|_?[a-z]+(_[a-z]+)+|_?\w+\.\w+", text)]
NO_NAMES = {*PATHS, "pannier_crds", "ttlInSeconds"}


@cache
def files() -> str:
    """Return every file and folder, each in a line that begins with a slash."""
    parts = [ROOT / part for part in (*PACKAGES, *OTHERS, *AT_THE_TOP)]
    found = (path for part in parts for path in (part, *part.rglob("*")) if "__pycache__" not in path.parts)
    return "\n".join(f"/{path.relative_to(ROOT)}" for path in found)


@cache
def code() -> str:
    modules = (path for part in PACKAGES for path in sorted((ROOT / part).rglob("*.py")))
    return "\n".join(path.read_text() for path in modules)


@pytest.mark.parametrize("path", PATHS)
def test_a_file_or_folder_is_where_the_pages_say(path: str) -> None:
    pattern = re.escape(path.rstrip("/")).replace("NAME", r"[^/\n]+")
    assert re.search(rf"/{pattern}$", files(), re.MULTILINE) is not None


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NO_NAMES])
def test_a_name_of_the_code_is_defined_somewhere(name: str) -> None:
    for part in name.split("."):
        definition = rf"^\s*(async def|def|class) {part}\b|^\s*(self\.)?{part}\b\s*[:=(,]|\b{part} = "
        assert re.search(definition, code(), re.MULTILINE) is not None, part


def modules() -> Iterator[Path]:
    for part in PACKAGES:
        yield from (path for path in sorted((ROOT / part).rglob("*.py")) if not path.name.startswith("__"))


@pytest.mark.parametrize("module", [str(path.relative_to(ROOT)) for path in modules()])
def test_the_pages_or_the_list_of_its_package_lead_to_a_module(module: str) -> None:
    path = ROOT / module
    listed = re.search(rf"^\W*[\w, ─>]*\b{path.stem}\b", (path.parent / "__init__.py").read_text(), re.MULTILINE)
    of_a_store = path.parent.name == "catalogue" and any((ROOT / STORES).glob(f"{path.stem}*"))
    named = re.search(rf"`(\S+/)?{path.parent.name}/{path.name}\b|`{path.name}`|\b{path.name} ", WHOLE_PAGES)
    assert listed or of_a_store or named, f"write into docs/where-a-change-goes.md which change leads to {module}"


def test_the_pages_are_read_for_such() -> None:
    assert len(PATHS) > 50
    assert len(NAMES) > 15
