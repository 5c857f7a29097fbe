"""`make dapr-suite`: what it reads of Go's output, and what it makes of it."""

from pathlib import Path
from tomllib import loads

from dapr_suite.expectations import Expectations, judged
from dapr_suite.output import Outcome, outcome_of

FACTS = Path(__file__).parents[2] / "docs" / "dapr-compatibility.toml"
CASE = "daprd/state/http/errors"
SUITE = "/go/pkg/mod/github.com/dapr/dapr@v1.18.0/tests/integration/suite"
OUTPUT = f"""\
=== RUN   Test_Integration/{CASE}/run/no_query
    errors.go:276:
        \tError Trace:\t{SUITE}/daprd/state/http/errors.go:276
        \t            \t\t\t\t{SUITE}/daprd/state/http/errors.go:98
        \tError:      \tNot equal:
        \tTest:       \tTest_Integration/{CASE}/run/no_query
        \tError Trace:\t{SUITE}/daprd/state/http/errors.go:366
        \tError:      \tan attempt of the next assertion
    errors.go:365:
        \tError Trace:\t{SUITE}/daprd/state/http/errors.go:365
        \tError:      \tCondition never satisfied
        \tTest:       \tTest_Integration/{CASE}/run
--- FAIL: Test_Integration (0.00s)
    --- PASS: Test_Integration/build_binaries (0.00s)
    --- FAIL: Test_Integration/{CASE} (3.09s)
        --- FAIL: Test_Integration/{CASE}/run (0.37s)
FAIL
"""
EXPECTED = Expectations("v1.18.0", ("passes",), {CASE: frozenset({"errors.go:276", "errors.go:365"})}, ("rest",))


def test_failed_assertions_are_found() -> None:
    outcome = outcome_of(OUTPUT, CASE)
    assert outcome == Outcome(passed=False, lines=frozenset({"errors.go:276", "errors.go:365"}))
    assert judged(EXPECTED, CASE, outcome) == ("passed but for the exceptions", True)


def test_a_case_passes_only_if_it_says_so() -> None:
    passed = outcome_of("    --- PASS: Test_Integration/passes (0.10s)\n", "passes")
    assert passed == Outcome(passed=True)
    assert judged(EXPECTED, "passes", passed) == ("passed", True)
    for output in ("panic: assignment to entry in nil map\n", "testing: no tests to run\nPASS\n", ""):
        outcome = outcome_of(output, "passes")
        assert outcome == Outcome(passed=False, is_complete=False)
        assert judged(EXPECTED, "passes", outcome) == ("broken off", False)


def test_whatever_is_not_expected_is_a_surprise() -> None:
    rows = [
        ("passes", Outcome(False, frozenset({"basic.go:1"})), "failed at basic.go:1", False),
        (CASE, Outcome(True), "passed, although it is an exception: move it", False),
        (CASE, Outcome(False, frozenset({"errors.go:276", "errors.go:9"})), "failed, also at errors.go:9", False),
        ("rest", Outcome(False, frozenset({"ttl.go:1"})), "failed at ttl.go:1", True),
        ("rest", Outcome(False, is_complete=False), "broken off", True),
        ("rest", Outcome(True), "passed, although it is an exception: move it", False),
    ]
    for case, outcome, word, is_expected in rows:
        assert judged(EXPECTED, case, outcome) == (word, is_expected), case


def test_no_case_has_two_expectations() -> None:
    read = Expectations.read(loads(FACTS.read_text())["suite"])
    every = read.cases(with_rest=True)
    assert len(every) == len(set(every))
    assert set(read.passing) < set(read.cases(with_rest=False)) < set(every)
