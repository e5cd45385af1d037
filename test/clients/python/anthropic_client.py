"""The package `anthropic`: Messages."""

import anthropic
from harness import *

client = anthropic.Anthropic(api_key=KEY, base_url=URL, max_retries=0)
settings = {"max_tokens": 80, "extra_body": {"temperature": 0}}
asked = {**settings, "model": "pirate", "messages": [{"role": "user", "content": QUESTION}]}
asked_tool = {**settings, "model": "tools", "messages": [{"role": "user", "content": TOOL_QUESTION}]}
weather = {"name": "weather", "input_schema": Weather.model_json_schema()}


def text():
    message = client.messages.create(**asked)
    assert message.content[0].text == ANSWER and message.stop_reason == "end_turn"


def stream():
    with client.messages.stream(**asked) as events:
        assert joined(events.text_stream) == ANSWER


def parse():
    is_order(client.messages.parse(**{**asked, "model": "json"}, output_format=Order).parsed_output)


def named():
    message = client.messages.create(**asked_tool, tools=[weather], tool_choice={"type": "tool", "name": "weather"})
    Weather.model_validate(message.content[0].input)


def runner():
    tool = anthropic.beta_tool(opening_hours)
    final = client.beta.messages.tool_runner(**asked_tool, tools=[tool]).until_done()
    assert final.content[0].text == TOOL_ANSWER, final


def leave():
    endless = {"format": {"type": "json_schema", "schema": {"type": "string", "minLength": 3000}}}
    with client.messages.stream(**{**asked, "max_tokens": 900}, output_config=endless) as events:
        for event in events:
            if event.type == "content_block_delta":
                break


def count():
    assert client.messages.count_tokens(model="pirate", messages=asked["messages"]).input_tokens > 10


features = {
    "text": text,
    "stream": stream,
    "structured: output_format": parse,
    "tools: named": named,
    "tools: auto, several turns": runner,
    "abort": lambda: assert_aborts(leave),
    "errors: 401": lambda: assert_fails(
        lambda: client.with_options(api_key="wrong").messages.create(**asked), anthropic.AuthenticationError
    ),
    "errors: 404 model": lambda: assert_fails(
        lambda: client.messages.create(**{**asked, "model": "nobody"}), anthropic.NotFoundError
    ),
    "errors: 400 field": lambda: assert_fails(
        lambda: client.messages.create(**{**asked, "extra_body": {"temperature": 9}}), anthropic.BadRequestError
    ),
    "count tokens": count,
}
report({"Messages": features})
