"""The date of an answer, beside the standard library's."""

from email.utils import formatdate

from hypothesis import given
from hypothesis import strategies as st

from pannier_sidecar.http_api.dates import http_date


@given(st.floats(min_value=0, max_value=253402300799))
def test_the_date_is_written_as_the_standard_library_writes_it(moment):
    assert http_date(moment) == formatdate(moment, usegmt=True)
