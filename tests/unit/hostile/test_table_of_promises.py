"""docs/promises.md is written from the tests' results, and checked against them."""

from hostile.promises import END, HEADER, START, Row, is_current, merged, read

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
    assert is_current(page, [other_count])
    assert not is_current(page, [CUT, other_fault])
    assert not is_current(EMPTY, [CUT])


def test_rows_of_tests_that_did_not_run_stay_while_their_file_exists():
    other = Row("p", "o", "f", "1", "c", "effort.py::test_other")
    gone = Row("p", "o", "f", "1", "c", "no_such_file.py::test_gone")
    page = merged(EMPTY, [other, gone])
    assert not is_current(page, [other])
    assert read(merged(page, [CUT])) == [other, CUT]
