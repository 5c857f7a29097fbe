"""ARCHITECTURE.md and docs/where-a-change-goes.md guide newcomers: every file and every name of the code in them exists
under that name.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("client/src", "crds/src", "sidecar/src", "operator/src", "testing/src")
STORES = "sidecar/src/pannier_sidecar/stores"
OTHERS = ("client", "crds", "charts", "docs", "pannier", "tests", "scripts", "testing", ".ci", ".github")
AT_THE_TOP = ("action.yml", "pyproject.toml", "constraints.txt", "Dockerfile.sidecar", "Dockerfile.operator")
RULES = r"<!-- import rules.*?<!-- end of import rules -->"
PAGES = ("ARCHITECTURE.md", "docs/where-a-change-goes.md")
WHOLE_PAGES = re.sub(RULES, "", "\n".join((ROOT / page).read_text() for page in PAGES), flags=re.DOTALL)
TEXT = re.sub(r"```.*?```", "", WHOLE_PAGES, flags=re.DOTALL)
QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", TEXT)))
FILE = r"[\w-]+(\.schema)?\.(py|yaml|yml|md|toml|json|tpl|txt)|Dockerfile\.\w+"
PATHS = [text for text in QUOTED if re.fullmatch(rf"[A-Za-z_.][\w.-]*/[\w./-]*|{FILE}", text)]
NAMES = [text for text in QUOTED if re.fullmatch(r"\w*[a-z][A-Z]\w*|_?[a-z]+(_[a-z]+)+|_?\w+\.\w+", text)]
NO_NAMES = {*PATHS, "pannier_crds", "ttlInSeconds"}


@cache
def files() -> str:
    """Return every file and folder, each in a line that begins with a slash."""
    parts = [ROOT / part for part in (*PACKAGES, *OTHERS, *AT_THE_TOP)]
    found = (path for part in parts for path in (part, *part.rglob("*")) if "__pycache__" not in path.parts)
    return "\n".join(f"/{path.relative_to(ROOT)}" for path in found)


def modules() -> Iterator[Path]:
    for part in PACKAGES:
        yield from sorted((ROOT / part).rglob("*.py"))


def defined() -> set[str]:
    """Return every name that the code defines or assigns."""
    code = "\n".join(path.read_text() for path in modules())
    ways = (r"^\s*(?:async def|def|class) (\w+)\b", r"^\s*(?:self\.)?(\w+)\b\s*[:=(,]", r"\b(\w+) = ")
    return {name for way in ways for name in re.findall(way, code, re.MULTILINE)}


def is_there(path: str) -> bool:
    pattern = re.escape(path.rstrip("/")).replace("NAME", r"[^/\n]+")
    return re.search(rf"/{pattern}$", files(), re.MULTILINE) is not None


def is_found_by_a_reader(module: Path) -> bool:
    """Whether one of the pages or the docstring of its package leads to this module."""
    initial = module.parent / "__init__.py"
    package = initial.read_text() if initial.exists() else ""
    listed = re.search(rf"^\W*[\w, ─>]*\b{module.stem}\b", package, re.MULTILINE)
    of_a_store = module.parent.name == "catalogue" and any((ROOT / STORES).glob(f"{module.stem}*"))
    named = rf"`(\S+/)?{module.parent.name}/{module.name}\b|`{module.name}`|\b{module.name} "
    return bool(listed or of_a_store or re.search(named, WHOLE_PAGES))


def test_a_file_or_folder_is_where_the_pages_say() -> None:
    assert [path for path in PATHS if not is_there(path)] == []


def test_a_name_of_the_code_is_defined_somewhere() -> None:
    known = defined()
    assert [name for name in NAMES if name not in NO_NAMES and not known.issuperset(name.split("."))] == []


def test_the_pages_or_the_list_of_its_package_lead_to_a_module() -> None:
    named = [module for module in modules() if not module.name.startswith("__")]
    not_found = [str(module.relative_to(ROOT)) for module in named if not is_found_by_a_reader(module)]
    assert not_found == [], "write into docs/where-a-change-goes.md which change leads there"


def test_the_pages_are_read_for_such() -> None:
    assert len(PATHS) > 50
    assert len(NAMES) > 15
