"""The package `instructor`: the modes that it has for OpenAI's API. MD_JSON asks in words, which the demo does not understand."""

from collections.abc import Iterable

import instructor
import openai
from harness import *

messages = [{"role": "user", "content": QUESTION}]


def client_of(mode, key=KEY):
    return instructor.from_openai(openai.OpenAI(api_key=key, base_url=BASE_URL, max_retries=0), mode=mode)


def ask(mode, model="json", response_model=Order, key=KEY, **more):
    settings = {"temperature": 0, "max_retries": 1, "max_tokens": 200, **more}
    return client_of(mode, key).create(model=model, messages=messages, response_model=response_model, **settings)


def json_schema():
    is_order(ask(instructor.Mode.JSON_SCHEMA))


def call(mode):
    return lambda: ask(mode, "tools", Weather)


class opening_hours(BaseModel):  # the name of the tool
    """When the shop is open."""

    day: str


def parallel():
    asked = [{"role": "user", "content": TOOL_QUESTION}]
    client = client_of(instructor.Mode.PARALLEL_TOOLS)
    kind = Iterable[opening_hours]
    found = list(client.create(model="tools", messages=asked, response_model=kind, temperature=0, max_retries=1))
    assert [one.day for one in found] == ["Monday"], found


def partial():
    parts = list(
        client_of(instructor.Mode.JSON_SCHEMA).create_partial(
            model="json", messages=messages, response_model=Order, temperature=0
        )
    )
    assert len(parts) > 1
    is_order(parts[-1])


def fails(status, **more):
    def run():
        try:
            ask(instructor.Mode.JSON_SCHEMA, **more)
        except Exception as reason:
            assert str(status) in str(reason), reason
            return
        raise AssertionError("no error")

    return run


report(
    {
        "chat": {
            "structured: JSON_SCHEMA": json_schema,
            "structured: JSON": lambda: ask(instructor.Mode.JSON, response_model=AnyObject),
            "structured: TOOLS": call(instructor.Mode.TOOLS),
            "structured: TOOLS_STRICT": call(instructor.Mode.TOOLS_STRICT),
            "structured: PARALLEL_TOOLS": parallel,
            "stream: create_partial": partial,
            "errors: 401": fails(401, key="wrong"),
            "errors: 404 model": fails(404, model="nobody"),
            "errors: 400 field": fails(400, temperature=9),
        }
    }
)
