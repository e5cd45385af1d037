"""Sends a request until an answer has begun. Knows nothing of Ray or HTTP: `serve_mosara.py` gives it both."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

# Why a replica has no answer: its server is starting, or was lost with the request.
AWAY, LOST = "away", "lost"
# The status of a server that stops, or whose engine starts again.
STOPPING = 503
# A request that no server accepts is given up after so long. Time in the queue of a server that was then lost does not
# count, because on a busy cluster it alone can be longer.
RETRY_SECONDS = 60
# A server that refuses a request only after so many seconds had it in its queue, and then lost its engine.
ACCEPTED_SECONDS = 10
# Servers that may be lost with one request. The request itself may be the reason.
MAX_LOST = 6
# Longest pause between two attempts. Its length is random, so that waiting requests do not come all at once.
PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Beginning:
    """The beginning of an answer, with its first bytes: until they exist, the request can be sent elsewhere."""

    status: int
    headers: dict[str, str]
    bytes: bytes


async def begin(
    send: Callable[[str], AsyncIterator], adapter: str, is_repeatable: bool, is_gone: Callable[[Exception], bool]
) -> tuple[Beginning, AsyncIterator] | None:
    """Asks until an answer has begun. @returns None: no replica has answered, or nobody may ask again

    @param send gives the answer of a replica: its beginning, or AWAY, or LOST, then its bytes. Its argument is a key.
    Requests with the same key go to the same replica, and each attempt has a key of its own. So all requests of an
    adapter whose replica is away go to the same other one. "": any replica
    @param is_gone whether an exception says that the replica, or the way to it, was lost
    """
    give_up_at, num_lost, attempt = time.monotonic() + RETRY_SECONDS, 0, 0
    while True:
        started_at = time.monotonic()
        pieces = send(f"{adapter}#{attempt}" if adapter and attempt > 0 else adapter)
        try:
            begun = await anext(pieces, LOST)
        except Exception as error:
            if not is_gone(error):
                raise
            begun = LOST
        now = time.monotonic()
        if begun == LOST or (begun != AWAY and now - started_at > ACCEPTED_SECONDS):
            num_lost, give_up_at = num_lost + 1, now + RETRY_SECONDS
        is_last = now > give_up_at or num_lost >= MAX_LOST
        if isinstance(begun, Beginning):
            if is_last or begun.status != STOPPING or not is_repeatable:
                return begun, pieces
        elif is_last or (begun == LOST and not is_repeatable):
            return None
        if attempt > 0:  # another replica can probably answer at once
            await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))
        attempt += 1
