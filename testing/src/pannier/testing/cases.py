"""A test case of unittest with a sidecar."""

from __future__ import annotations

from typing import ClassVar
from unittest import TestCase
from unittest.mock import patch

from .local import LocalPannier


class PannierTestCase(TestCase):
    """Each test finds a sidecar without state in `self.pannier`, and the variables of the SDKs in the environment."""

    pannier: ClassVar[LocalPannier]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.pannier = LocalPannier()
        cls.enterClassContext(cls.pannier)
        cls.enterClassContext(patch.dict("os.environ", cls.pannier.environment))

    def setUp(self) -> None:
        super().setUp()
        self.pannier.reset()
