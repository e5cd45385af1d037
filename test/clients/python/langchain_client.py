"""The package `langchain-openai`: chat, Responses, embeddings."""

import openai
from harness import *
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

hours = tool(opening_hours)


def model_of(model, **more):
    return ChatOpenAI(model=model, **{"temperature": 0, "max_retries": 0, "api_key": KEY, "base_url": BASE_URL, **more})


def text(**more):
    message = model_of("pirate", **more).invoke(QUESTION)
    assert message.text == ANSWER and message.usage_metadata["output_tokens"] > 10


def stream(**more):
    assert joined(chunk.text for chunk in model_of("pirate", **more).stream(QUESTION)) == ANSWER


def structured(method, schema=Order, **more):
    def run():
        model = model_of("demo" if method == "function_calling" else "json", **more)
        found = model.with_structured_output(schema, method=method).invoke(QUESTION)
        if method == "function_calling":
            Order.model_validate(found)
        elif schema is Order:
            is_order(found)
        else:
            assert found == ORDER, found

    return run


def include_raw():
    found = model_of("json").with_structured_output(Order, include_raw=True).invoke(QUESTION)
    is_order(found["parsed"])


def forced(choice):
    def run():
        bound = model_of("tools").bind_tools([Weather], tool_choice=choice)
        Weather.model_validate(bound.invoke(TOOL_QUESTION).tool_calls[0]["args"])

    return run


def several_turns(**more):
    bound = model_of("tools", **more).bind_tools([hours])
    first = bound.invoke(TOOL_QUESTION)
    result = hours.invoke(first.tool_calls[0])
    assert bound.invoke([HumanMessage(TOOL_QUESTION), first, result]).text == TOOL_ANSWER


async def leave():
    model = model_of("pirate", max_tokens=900, extra_body={"ignore_eos": True})
    pieces = model.astream(QUESTION)
    await anext(pieces)
    await pieces.aclose()


def fails(status, model="pirate", **more):
    return lambda: assert_fails(lambda: model_of(model, **more).invoke(QUESTION), openai.APIStatusError, status)


def vectors(**more):
    model = OpenAIEmbeddings(model="demo", api_key=KEY, base_url=BASE_URL, **more)
    two = model.embed_documents(["a red kettle", "order 4821"])
    assert max(abs(a - b) for a, b in zip(two[1], model.embed_query("order 4821"), strict=True)) < 1e-5


schema = Order.model_json_schema()
over_responses = {"use_responses_api": True}
report(
    {
        "chat": {
            "text": text,
            "stream": stream,
            "structured: json_schema": structured("json_schema"),
            "structured: json_schema of a dictionary": structured("json_schema", schema),
            "structured: function_calling": structured("function_calling"),
            "structured: json_mode": structured("json_mode"),
            "structured: include_raw": include_raw,
            "tools: required": forced("any"),
            "tools: named": forced("Weather"),
            "tools: auto, several turns": several_turns,
            "abort": lambda: assert_aborts(leave),
            "errors: 401": fails(401, api_key="wrong"),
            "errors: 404 model": fails(404, model="nobody"),
            "errors: 400 field": fails(400, temperature=9),
        },
        "Responses": {
            "text": lambda: text(**over_responses),
            "stream": lambda: stream(**over_responses),
            "structured: json_schema": structured("json_schema", **over_responses),
            "tools: auto, several turns": lambda: several_turns(**over_responses),
        },
        "embeddings": {"embeddings": lambda: vectors(check_embedding_ctx_length=False)},
    }
)
