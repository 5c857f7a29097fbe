"""docs/promises.md is written from the tests' results, and checked against them."""

from hostile.promises import END, HEADER, START, Row, completed, faults_of, merged, read

EMPTY = f"before\n{START}{HEADER}{END}after\n"
CUT = Row("no write is lost", "Redis 7", "cut | killed", "3", "12 writes", "promises.py::test_cut")


def test_a_row_is_read_back_as_it_was_written():
    page = merged(EMPTY, [CUT])
    assert read(page) == [CUT]
    assert page.startswith("before\n")
    assert page.endswith("after\n")


def test_counts_may_differ_but_rows_may_not():
    page = merged(EMPTY, [CUT])
    other_count = Row(*CUT.identity[:3], "9", "99 writes", CUT.test)
    other_fault = Row(CUT.promised, CUT.on, "frozen", "9", "99 writes", CUT.test)
    assert not faults_of(page, [other_count])
    assert faults_of(page, [CUT, other_fault]) == [f"missing: {other_fault.line()}"]
    assert faults_of(EMPTY, [CUT])


def test_rows_of_tests_that_did_not_run_stay_while_their_file_exists():
    other = Row("p", "o", "f", "1", "c", "effort.py::test_other")
    gone = Row("p", "o", "f", "1", "c", "no_such_file.py::test_gone")
    page = merged(EMPTY, [other, gone])
    assert faults_of(page, [other])
    assert read(merged(page, [CUT])) == [other, CUT]


def test_adding_keeps_other_rows_of_the_same_test_and_their_counts():
    other_store = Row(CUT.promised, "PostgreSQL", CUT.fault, "3", "12 writes", CUT.test)
    again = Row(*CUT.identity[:3], "9", "99 writes", CUT.test)
    page = merged(EMPTY, [CUT])
    assert read(completed(page, [again, other_store])) == [other_store, CUT]
