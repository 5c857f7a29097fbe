"""Asks `certificates.py` in a process of its own, which ends when it has answered.

The library that makes certificates takes 8 MB of memory, and is used a few times in months. The process gets its
question and gives its answer, keys included, through pipes.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from asyncio.subprocess import PIPE
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pannier_operator.objects.kinds import Secret
    from pannier_operator.settings import CertificateSettings
    from pannier_operator.webhook.material import Keep, Renew

_LIMIT: Final = 60.0
"""Seconds within which the process must answer."""


async def decide(
    secret: Secret | None, names: Sequence[str], now: datetime, *, namespace: str, settings: CertificateSettings
) -> Keep | Renew:
    """Return what `certificates.decide` returns. Raises OSError if the process fails."""
    decision: Keep | Renew = await _ask("decide", secret, tuple(names), now, namespace=namespace, settings=settings)
    return decision


async def expiry_of(certificate: bytes) -> datetime:
    """Return what `certificates.expiry_of` returns. Raises OSError if the process fails, ValueError as that does."""
    expires: datetime = await _ask("expiry_of", certificate)
    return expires


async def _ask(function: str, *arguments: object, **named: object) -> Any:
    process = await asyncio.create_subprocess_exec(sys.executable, "-P", "-m", __name__, stdin=PIPE, stdout=PIPE)
    try:
        question = pickle.dumps((function, arguments, named))
        answer, _ = await asyncio.wait_for(process.communicate(question), _LIMIT)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or not answer:
        raise ChildProcessError(f"the process that reads and makes certificates ended with {process.returncode}")
    result: object = pickle.loads(answer)
    if isinstance(result, ValueError):
        raise result
    return result


def _answer() -> None:
    """Answer one question, in a process of its own."""
    from pannier_operator.webhook import certificates

    function, arguments, named = pickle.load(sys.stdin.buffer)
    result: object
    try:
        result = getattr(certificates, function)(*arguments, **named)
    except ValueError as error:
        result = ValueError(str(error))
    sys.stdout.buffer.write(pickle.dumps(result))


if __name__ == "__main__":
    _answer()
