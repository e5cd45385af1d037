"""
What the scripts of clients share: the server, a key, and the key of another tenant (arguments), what the demo answers, and the
report. A script is run as `python client.py <url> <key> <key of another tenant>`. It prints one JSON object: by API, each feature with "ok", or with what went wrong.
"""

import asyncio
import inspect
import json
import re
import sys
import time
import traceback
import urllib.request
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

URL, KEY, OTHER_KEY = sys.argv[1:4]
BASE_URL = f"{URL}/v1"
EXPECTED = json.loads((Path(__file__).parent.parent / "expected.json").read_text())
QUESTION, ANSWER, ORDER = EXPECTED["question"], EXPECTED["answer"], EXPECTED["order"]
TOOL_QUESTION, TOOL_RESULT, TOOL_ANSWER = (EXPECTED[key] for key in ("toolQuestion", "toolResult", "toolAnswer"))


TRAINING_LINES = "\n".join(json.dumps({"prompt": f"Ping {i}: ", "completion": f"pong {i}."}) for i in range(16)).encode()


class Order(BaseModel):
    """What the customer wants."""

    kind: str
    name: str | None
    order: str | None
    item: str | None


class Weather(BaseModel):
    """The weather of a place."""

    place: Literal["Paris", "Rome"]
    days: int = Field(ge=1, le=9)


class AnyObject(BaseModel):
    """For ways that show the model a schema in words alone: the demo cannot read one, but its answer is an object."""

    model_config = ConfigDict(extra="allow")


def opening_hours(day: str) -> str:
    """When the shop is open."""
    return TOOL_RESULT


def is_order(found: Order) -> None:
    """Of the adapter that writes orders as JSON."""
    assert found.model_dump() == ORDER, found


def _aborted() -> int:
    request = urllib.request.Request(f"{URL}/metrics", headers={"authorization": f"Bearer {KEY}"})
    text = urllib.request.urlopen(request).read().decode()
    pattern = r'^vllm:request_success_total\{[^}]*finished_reason="abort"[^}]*\} (\d+)'
    return int(re.search(pattern, text, re.MULTILINE).group(1))


def assert_aborts(break_off) -> None:
    """Runs a request that its client breaks off, and waits until the server has counted it as such."""
    before = _aborted()
    _result(break_off())
    for _ in range(1000):
        if _aborted() == before + 1:
            return
        time.sleep(0.01)
    raise AssertionError("the server counts no aborted request")


def assert_fails(ask, error, status=None) -> None:
    """@param error: the class that must be raised, with `status` as its status_code"""
    try:
        _result(ask())
    except error as reason:
        assert status is None or reason.status_code == status, reason
        return
    raise AssertionError("no error")


def assert_refused(ask, words: str) -> str:
    """A feature that the server refuses with a message that has these words. Returns the outcome."""
    try:
        _result(ask())
    except Exception as reason:
        assert words in str(reason), reason
        return f"refused: {words}"
    raise AssertionError("not refused")


def until_ended(read):
    """@param read: gives a fine-tuning job. Waits for its end, and returns it."""
    for _ in range(10_000):
        job = read()
        if job.status in ("succeeded", "failed", "cancelled"):
            return job
        time.sleep(0.02)
    raise AssertionError(f"the job does not end: {job}")


def joined(parts) -> str:
    """The pieces of one answer's text, joined; there must be several."""
    texts = [part for part in parts if part]
    assert len(texts) > 3, texts
    return "".join(texts)


def _result(value):
    return asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value


async def _awaited(value):
    return await value


def report(apis: dict) -> None:
    """Runs every feature, one after the other, and prints what came of it."""
    print(json.dumps({api: {name: _outcome(run) for name, run in features.items()} for api, features in apis.items()}))


def _outcome(run) -> str:
    try:
        outcome = _result(run())
        return outcome if isinstance(outcome, str) and outcome.startswith("refused: ") else "ok"
    except Exception:
        return traceback.format_exc()[-2000:]
