"""How tests put a proxy between each store over a network and its server."""

from __future__ import annotations

from servers.database import ProxySetup
from servers.databases import DATABASES

PROXY_SETUPS: dict[str, ProxySetup] = {
    each.name: each.proxy_setup for each in DATABASES if each.proxy_setup is not None
}
