"""JSON values in any spelling, and queries that may match them, for property tests."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

NAMES = ("a", "b", "ü", 'q"', "s/", "x%_\\", "")
TEXTS = ("A", "a", "", "CA", "für", "💜", 'q"', "s/t", "%_\\", "a\nb", "1", "true", "\u2028", "\x7f")
NUMBERS = (
    *("0", "-0", "1", "1.0", "12", "12.0", "1.2e1", "120E-1", "11.99999999999999999999", "-12", "1.5", "1e2", "100"),
    *("9007199254740993", "9007199254740992.0", "1e20", "100000000000000000000", "0.1", "12345678901234567890123"),
)

_scalars = st.sampled_from(NUMBERS) | st.sampled_from(("true", "false", "null"))


@st.composite
def _spelled_text(draw: st.DrawFn, texts: tuple[str, ...] = TEXTS) -> str:
    """Return a text as JSON, with any of its characters escaped."""
    text = draw(st.sampled_from(texts))
    parts = []
    for character in text:
        ways = [json.dumps(character, ensure_ascii=False), json.dumps(character)]
        if ord(character) < 0x10000:
            ways.append(f'"\\u{ord(character):04X}"')
        if character == "/":
            ways.append('"\\/"')
        parts.append(draw(st.sampled_from(ways))[1:-1])
    return f'"{"".join(parts)}"'


def _nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.builds("{} : {}".format, _spelled_text(NAMES), inner)
    return st.builds("[{}]".format, st.lists(inner, max_size=3).map(",".join)) | st.builds(
        "{{{}}}".format, st.lists(member, max_size=3).map(", ".join)
    )


spelled = st.recursive(_scalars | _spelled_text(), _nested, max_leaves=6)
"""JSON texts; a name may stand twice in an object."""
stored = spelled.map(str.encode) | st.sampled_from((b"", b"\xff", b"a", b'{"a":', b"\x00", b'"\xff"', b"\\", b"%_"))
"""Values: JSON, and what is none."""

_operands: st.SearchStrategy[Any] = spelled.map(json.loads)
_paths = st.lists(st.sampled_from([name for name in NAMES if name]), min_size=1, max_size=2).map(".".join)
_ordered = st.sampled_from(("GT", "GTE", "LT", "LTE"))
_conditions = (
    st.builds(lambda name, path, value: {name: {path: value}}, st.sampled_from(("EQ", "NEQ")), _paths, _operands)
    | st.builds(lambda path, values: {"IN": {path: values}}, _paths, st.lists(_operands, max_size=3))
    | st.builds(
        lambda name, path, value: {name: {path: value}},
        _ordered,
        _paths,
        st.sampled_from(TEXTS) | st.sampled_from(NUMBERS).map(json.loads),
    )
)
filters: st.SearchStrategy[dict[str, Any]] = st.recursive(
    _conditions,
    lambda inner: st.builds(
        lambda name, parts: {name: parts}, st.sampled_from(("AND", "OR")), st.lists(inner, min_size=2, max_size=3)
    ),
    max_leaves=4,
)
