"""Our parser of IP addresses agrees with the standard library's."""

import ipaddress

from hypothesis import example, given
from hypothesis import strategies as st

from pannier_sidecar.access import ip_address, is_loopback

ADDRESSES = st.one_of(
    st.ip_addresses(),
    st.ip_addresses(network="127.0.0.0/8"),
    st.ip_addresses(network="::ffff:0:0/96"),
    st.ip_addresses(network="::/120"),
)


@given(st.one_of(ADDRESSES.map(str), st.text("0123456789abcdef.:", max_size=12)))
@example("127.0.0.01")
@example("localhost")
@example("::1\0")
@example("")
def test_what_is_an_address_and_reaches_only_this_machine(text):
    try:
        expected = ipaddress.ip_address(text)
    except ValueError:
        assert ip_address(text) is None
        return
    spelt = ip_address(text)
    assert spelt is not None and ipaddress.ip_address(spelt) == expected
    mapped = getattr(expected, "ipv4_mapped", None)
    assert is_loopback(text) == (mapped or expected).is_loopback
