"""How each store over a network is connected through a proxy of the tests."""

from __future__ import annotations

from servers.database import Way
from servers.databases import DATABASES

WAYS: dict[str, Way] = {each.name: each.way for each in DATABASES if each.way is not None}
