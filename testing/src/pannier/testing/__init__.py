"""Pannier in an app's tests: a sidecar in the test's own process, on real ports, with a clock and faults to order.

With pytest the fixture `pannier` is there once `pytest-pannier` is installed. With unittest:

    class TestMyApp(PannierTestCase):
        def test_it(self):
            self.pannier.faults.lose_answers(1)

`LocalPannier` can also be started by itself, in a `with` statement. The page is docs/testing-an-app.md.
"""

from .cases import PannierTestCase
from .faults import Faults
from .local import LocalPannier

__all__ = ["Faults", "LocalPannier", "PannierTestCase"]
