"""The package `litellm`: its functions of chat, Responses, text completion, embeddings and fine-tuning."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch a list of prices
import litellm
from harness import *

litellm.suppress_debug_info = True
litellm.telemetry = False
place = {"api_base": BASE_URL, "api_key": KEY, "num_retries": 0}
messages = [{"role": "user", "content": QUESTION}]
tool_messages = [{"role": "user", "content": TOOL_QUESTION}]
hours = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
tools = [{"type": "function", "function": {"name": "opening_hours", "parameters": hours}}]


def ask(model="pirate", **more):
    settings = {"messages": messages, "temperature": 0, **place, **more}
    return litellm.completion(model=f"openai/{model}", **settings)


def text():
    assert ask().choices[0].message.content == ANSWER


def stream():
    assert joined(chunk.choices[0].delta.content for chunk in ask(stream=True)) == ANSWER


def json_schema():
    is_order(Order.model_validate_json(ask("json", response_format=Order).choices[0].message.content))


def json_object():
    found = ask("json", response_format={"type": "json_object"}).choices[0].message.content
    assert json.loads(found) == ORDER


def several_turns():
    first = ask("tools", messages=tool_messages, tools=tools).choices[0].message
    call = first.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": opening_hours("Monday")}
    second = ask("tools", messages=[*tool_messages, first, result], tools=tools)
    assert second.choices[0].message.content == TOOL_ANSWER


def forced():
    found = ask("tools", messages=tool_messages, tools=tools, tool_choice="required", max_tokens=200)
    assert "day" in json.loads(found.choices[0].message.tool_calls[0].function.arguments)


async def leave():
    settings = {"messages": messages, "stream": True, "max_tokens": 900, "extra_body": {"ignore_eos": True}}
    chunks = await litellm.acompletion(model="openai/pirate", **settings, **place)
    await anext(aiter(chunks))
    await chunks.aclose()


def responses():
    found = litellm.responses(model="openai/pirate", input=QUESTION, temperature=0, **place)
    assert found.output_text == ANSWER


def vectors():
    data = litellm.embedding(model="openai/demo", input=["a red kettle", "order 4821"], **place).data
    assert len(data) == 2


def train():
    provider = {"custom_llm_provider": "openai", "api_base": BASE_URL, "api_key": KEY}
    stranger = {**provider, "api_key": OTHER_KEY}
    file = litellm.create_file(file=("train.jsonl", TRAINING_LINES), purpose="fine-tune", **provider).id
    settings = {"n_epochs": 1, "batch_size": 8}
    start = lambda **more: litellm.create_fine_tuning_job(
        model="openai/demo", training_file=file, suffix="pong", hyperparameters={**settings, **more}, **provider
    )
    job = start()
    ended = until_ended(lambda: litellm.retrieve_fine_tuning_job(fine_tuning_job_id=job.id, **provider))
    assert ended.status == "succeeded", ended
    assert ask(ended.fine_tuned_model, max_tokens=4).choices[0].message.content is not None
    endless = start(n_epochs=10_000)
    assert litellm.cancel_fine_tuning_job(fine_tuning_job_id=endless.id, **provider).status == "cancelled"
    listed = {one.id for one in litellm.list_fine_tuning_jobs(**provider).data}
    assert {job.id, endless.id} <= listed, listed
    assert litellm.list_fine_tuning_jobs(**stranger).data == []
    for call in (
        lambda: litellm.retrieve_fine_tuning_job(fine_tuning_job_id=job.id, **stranger),
        lambda: litellm.file_retrieve(file_id=file, **stranger),
        lambda: ask(ended.fine_tuned_model, api_key=OTHER_KEY),
    ):
        assert_fails(call, Exception, 404)
    assert litellm.file_delete(file_id=file, **provider).deleted


def fails(error, **more):
    return lambda: assert_fails(lambda: ask(**more), error)


report(
    {
        "chat": {
            "text": text,
            "stream": stream,
            "structured: json_schema": json_schema,
            "structured: json_object": json_object,
            "tools: auto, several turns": several_turns,
            "tools: required": forced,
            "abort": lambda: assert_aborts(leave),
            "errors: 401": fails(litellm.AuthenticationError, api_key="wrong"),
            "errors: 404 model": fails(litellm.NotFoundError, model="nobody"),
            "errors: 400 field": fails(litellm.BadRequestError, temperature=9),
        },
        "Responses": {"text": responses},
        "embeddings": {"embeddings": vectors},
        "fine-tuning": {"upload, train, ask, cancel, delete": train},
    }
)
