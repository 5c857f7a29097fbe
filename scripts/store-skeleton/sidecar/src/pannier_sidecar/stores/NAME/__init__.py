"""`TYPE`: state in TITLE.

    store       the Store: which call each operation makes, and what its answer means
    client      the connection that all calls share
    layout      how values, ETags and times of expiry are stored
    errors      what the errors of TITLE and of its client library mean
    settings    the component's metadata

Each knows only those below it.
"""

STORES = {"TYPE": "CLASSStore"}
