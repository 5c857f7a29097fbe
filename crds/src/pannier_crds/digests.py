"""Hash functions and comparisons that are built into Python.

`hashlib` and `hmac` hold the same ones, but load OpenSSL for them: 3.5 MB that a sidecar without TLS does not need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["blake2b", "compare_digest", "sha1", "sha256"]

if TYPE_CHECKING:
    from hashlib import blake2b, sha1, sha256
    from hmac import compare_digest
else:
    try:
        from _blake2 import blake2b
        from _operator import _compare_digest as compare_digest
        from _sha1 import sha1

        try:
            from _sha2 import sha256
        except ImportError:  # before Python 3.12
            from _sha256 import sha256
    except ImportError:  # a Python that was built without them
        from hashlib import blake2b, sha1, sha256
        from hmac import compare_digest
