"""The condition `trip` of a circuit breaker: an expression in a subset of CEL over the breaker's counts.

It takes the five counts, whole and decimal numbers, true and false, `+ - * / %`, comparisons, `&& || !`, parentheses,
and `double()` and `int()`. Types and errors are CEL's: a division of whole numbers is cut off towards zero, both sides
of an operator have the same type (comparisons also take a whole number and a decimal), and numbers have 64 bits.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from math import copysign, inf, nan
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from pannier_crds.problems import InvalidValueError, listed, quoted
from pannier_crds.suggestions import closest

if TYPE_CHECKING:
    from collections.abc import Sequence

COUNTS: Final = ("requests", "totalSuccesses", "totalFailures", "consecutiveSuccesses", "consecutiveFailures")
"""Names that a condition may use; all of them are whole numbers."""
MAX_CHARS: Final = 1000
_MAX_TOKENS: Final = 200
_MAX_DEPTH: Final = 30
_MAX_INT: Final = 2**63 - 1

Type = Literal["int", "double", "bool"]
Condition = Callable[[Mapping[str, int]], bool]
"""Takes the counts by their names, and returns whether the breaker opens; never raises."""
_Evaluate = Callable[[Mapping[str, int]], Any]

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+\.\d+(?:[eE][+-]?\d+)?|\d+)|(?P<name>[A-Za-z_]\w*)|(?P<sign>&&|\|\||[=!<>]=|[<>!+\-*/%()]))",
    re.ASCII,
)
_WORDS: Final[Mapping[Type, str]] = {"int": "a whole number", "double": "a decimal number", "bool": "true or false"}
_COMPARISONS: Final = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class _Node(NamedTuple):
    type: Type
    evaluate: _Evaluate
    at: int
    """Where it begins: the index of its first character."""


class _EvaluationError(Exception):
    """A division by zero, or a number that is too large."""


def read_condition(text: str) -> Condition:
    """Return the condition that a text describes. Raises InvalidValueError, which says at which character it is wrong.

    A condition that cannot be evaluated, because it divides by zero or a number is too large, does not hold.
    """
    if len(text) > MAX_CHARS:
        raise InvalidValueError(f"has {len(text)} characters", f"write {MAX_CHARS} at most")
    parser = _Parser(text)
    node = parser.any_of(0)
    parser.expect_end()
    if node.type != "bool":
        raise _wrong(node.at, f"the expression is {_WORDS[node.type]}", "compare it, as in 'consecutiveFailures > 5'")
    evaluate = node.evaluate

    def holds(counts: Mapping[str, int]) -> bool:
        try:
            return bool(evaluate(counts))
        except _EvaluationError:
            return False

    return holds


class _Token(NamedTuple):
    text: str
    kind: str
    at: int


class _Parser:
    """A recursive descent by precedence: `||`, `&&`, comparison, sum, product, unary, primary."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = 0

    def any_of(self, depth: int) -> _Node:
        if depth > _MAX_DEPTH:
            raise _wrong(self._peek().at, "the expression is nested too deeply", "write fewer parentheses")
        left = self.all_of(depth)
        while self._take("||"):
            left = _logical(left, self.all_of(depth), decides=True)
        return left

    def all_of(self, depth: int) -> _Node:
        left = self.comparison(depth)
        while self._take("&&"):
            left = _logical(left, self.comparison(depth), decides=False)
        return left

    def comparison(self, depth: int) -> _Node:
        left = self.sum(depth)
        while sign := self._take(*_COMPARISONS):
            left = _compared(sign, left, self.sum(depth))
        return left

    def sum(self, depth: int) -> _Node:
        left = self.product(depth)
        while sign := self._take("+", "-"):
            left = _calculated(sign, left, self.product(depth))
        return left

    def product(self, depth: int) -> _Node:
        left = self.unary(depth)
        while sign := self._take("*", "/", "%"):
            left = _calculated(sign, left, self.unary(depth))
        return left

    def unary(self, depth: int) -> _Node:
        at = self._peek().at
        signs = []
        while sign := self._take("!", "-"):
            signs.append(sign)
        node = self.primary(depth)
        for sign in reversed(signs):
            node = _negated(sign, node, at)
        return node

    def primary(self, depth: int) -> _Node:
        token = self._peek()
        self._next += 1
        if token.kind == "number":
            return _literal(token)
        if token.kind == "name":
            return self._named(token, depth)
        if token.text == "(":
            return self._enclosed(token.at, depth)
        found = quoted(token.text) if token.text else "the end"
        raise _wrong(token.at, f"{found} is no value", f"write a number, {listed(COUNTS, 'or')}")

    def expect_end(self) -> None:
        token = self._peek()
        if token.text:
            raise _wrong(
                token.at, f"{quoted(token.text)} comes after the end of the expression", "join them by && or ||"
            )

    def _named(self, token: _Token, depth: int) -> _Node:
        name, at = token.text, token.at
        if name in ("true", "false"):
            truth = name == "true"
            return _Node("bool", lambda _: truth, at)
        if name in COUNTS:
            return _Node("int", lambda counts: counts[name], at)
        if name in ("double", "int") and self._take("("):
            return _converted(name, self._enclosed(at, depth), at)
        match = closest(name, COUNTS)
        raise _wrong(at, f"there is no {quoted(name)}", f"write {quoted(match) if match else listed(COUNTS, 'or')}")

    def _enclosed(self, at: int, depth: int) -> _Node:
        node = self.any_of(depth + 1)
        if not self._take(")"):
            raise _wrong(self._peek().at, f"the '(' of character {at + 1} is not closed", "write ')' here")
        return node._replace(at=at)

    def _peek(self) -> _Token:
        return self._tokens[min(self._next, len(self._tokens) - 1)]

    def _take(self, *texts: str) -> str:
        token = self._peek()
        if token.kind != "sign" or token.text not in texts:
            return ""
        self._next += 1
        return token.text


def _tokens(text: str) -> Sequence[_Token]:
    found, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            advice = "write counts, numbers, comparisons, arithmetic, &&, ||, ! and parentheses only"
            raise _wrong(at, f"{quoted(text[at])} is not supported", advice)
        kind = match.lastgroup or ""
        found.append(_Token(match[kind], kind, match.start(kind)))
        at = match.end()
        if len(found) > _MAX_TOKENS:
            raise _wrong(
                match.start(kind), "the expression is too long", f"write {_MAX_TOKENS} words and signs at most"
            )
    return [*found, _Token("", "end", end)]


def _wrong(at: int, message: str, advice: str) -> InvalidValueError:
    return InvalidValueError(f"character {at + 1}: {message}", advice)


def _literal(token: _Token) -> _Node:
    if "." in token.text:
        decimal = float(token.text)
        return _Node("double", lambda _: decimal, token.at)
    whole = int(token.text[:20])
    if whole > _MAX_INT:
        raise _wrong(token.at, f"{quoted(token.text)} is too large", "write a number of up to 18 digits")
    return _Node("int", lambda _: whole, token.at)


def _logical(left: _Node, right: _Node, *, decides: bool) -> _Node:
    """Return `left || right` (`decides` is True) or `left && right` (False). As in CEL, the side that decides hides an
    error of the other one.
    """
    sign = "||" if decides else "&&"
    for side in (left, right):
        if side.type != "bool":
            raise _wrong(side.at, f"this side of {sign} is {_WORDS[side.type]}", "compare it with a number")
    first, second = left.evaluate, right.evaluate

    def evaluate(counts: Mapping[str, int]) -> bool:
        try:
            is_decided = first(counts) is decides
        except _EvaluationError:
            if second(counts) is not decides:
                raise
            is_decided = True
        return decides if is_decided else bool(second(counts))

    return _Node("bool", evaluate, left.at)


def _compared(sign: str, left: _Node, right: _Node) -> _Node:
    if (left.type == "bool") != (right.type == "bool"):
        message = f"{sign} compares {_WORDS[left.type]} with {_WORDS[right.type]}"
        raise _wrong(left.at, message, "join comparisons by && or ||")
    compare, first, second = _COMPARISONS[sign], left.evaluate, right.evaluate
    return _Node("bool", lambda counts: compare(first(counts), second(counts)), left.at)


def _calculated(sign: str, left: _Node, right: _Node) -> _Node:
    if left.type != right.type or left.type == "bool":
        message = f"{sign} takes two numbers of one kind, not {_WORDS[left.type]} and {_WORDS[right.type]}"
        raise _wrong(left.at, message, "write double(...) around a whole number")
    if left.type == "double":
        if sign == "%":
            raise _wrong(left.at, "% takes whole numbers", "write int(...) around each side")
        calculate = _DECIMAL[sign]
    else:
        calculate = _WHOLE[sign]
    first, second = left.evaluate, right.evaluate
    return _Node(left.type, lambda counts: calculate(first(counts), second(counts)), left.at)


def _negated(sign: str, node: _Node, at: int) -> _Node:
    evaluate = node.evaluate
    if sign == "!":
        if node.type != "bool":
            raise _wrong(at, f"! is before {_WORDS[node.type]}", "compare it with a number, in parentheses")
        return _Node("bool", lambda counts: not evaluate(counts), at)
    if node.type == "bool":
        raise _wrong(at, "- is before true or false", "write ! instead")
    return _Node(node.type, lambda counts: -evaluate(counts), at)


def _converted(name: str, node: _Node, at: int) -> _Node:
    if node.type == "bool":
        raise _wrong(at, f"{name}() takes a number", "take it out")
    evaluate = node.evaluate
    if name == "double":
        return _Node("double", lambda counts: float(evaluate(counts)), at)
    return _Node("int", lambda counts: _whole(evaluate(counts)), at)


def _whole(value: float) -> int:
    if not abs(value) <= _MAX_INT:  # also true of a NaN
        raise _EvaluationError
    return int(value)


def _quotient(left: int, right: int) -> int:
    if right == 0:
        raise _EvaluationError
    quotient = abs(left) // abs(right)
    return _whole(quotient if (left < 0) == (right < 0) else -quotient)


def _remainder(left: int, right: int) -> int:
    return left - right * _quotient(left, right)


def _decimal_quotient(left: float, right: float) -> float:
    if right == 0:
        return nan if left == 0 or left != left else copysign(inf, left) * copysign(1, right)
    return left / right


_WHOLE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": lambda left, right: _whole(left + right),
    "-": lambda left, right: _whole(left - right),
    "*": lambda left, right: _whole(left * right),
    "/": _quotient,
    "%": _remainder,
}
_DECIMAL: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _decimal_quotient,
}
