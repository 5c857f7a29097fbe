"""What a folder of components may hold beside them."""

from typing import Final

VERSION_FILE: Final = "_version"
"""Whoever writes the folder may call each version of it by a word of its own here. Sidecars say which version they have
read last (`GET /v1.0/healthz?verbose`). The word means nothing else, so it tells nothing of what the folder holds."""
