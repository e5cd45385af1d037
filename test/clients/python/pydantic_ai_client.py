"""The package `pydantic-ai-slim`: agents over chat and Responses, with every kind of output."""

from harness import *
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


def features_of(kind):
    def agent_of(model, key=KEY, settings=None, **more):
        provider = OpenAIProvider(base_url=BASE_URL, api_key=key)
        return Agent(kind(model, provider=provider), model_settings={"temperature": 0, **(settings or {})}, **more)

    def text():
        assert agent_of("pirate").run_sync(QUESTION).output == ANSWER

    async def stream():
        async with agent_of("pirate").run_stream(QUESTION) as result:
            assert joined([piece async for piece in result.stream_text(delta=True, debounce_by=None)]) == ANSWER

    def native():
        is_order(agent_of("json", output_type=NativeOutput(Order)).run_sync(QUESTION).output)

    def output(wrapped, model, kind):
        return lambda: check_kind(agent_of(model, output_type=wrapped).run_sync(QUESTION).output, kind)

    async def streamed_output():
        async with agent_of("json", output_type=NativeOutput(Order)).run_stream(QUESTION) as result:
            is_order([part async for part in result.stream_output()][-1])

    def several_turns():
        assert agent_of("tools", tools=[opening_hours]).run_sync(TOOL_QUESTION).output == TOOL_ANSWER

    async def leave():
        endless = NativeOutput(StructuredLong)
        async with agent_of("demo", output_type=endless).iter(QUESTION) as run:
            async for node in run:
                if Agent.is_model_request_node(node):
                    async with node.stream(run.ctx) as events:
                        async for _ in events:
                            return

    def fails(status, model="pirate", **more):
        return lambda: assert_fails(lambda: agent_of(model, **more).run_sync(QUESTION), ModelHTTPError, status)

    return {
        "text": text,
        "stream": stream,
        "structured: NativeOutput": native,
        "structured: ToolOutput": output(ToolOutput(Weather), "tools", Weather),
        "structured: PromptedOutput": output(PromptedOutput(AnyObject, template="Write JSON."), "json", AnyObject),
        "structured: streamed": streamed_output,
        "tools: auto, several turns": several_turns,
        "abort": lambda: assert_aborts(leave),
        "errors: 401": fails(401, key="wrong"),
        "errors: 404 model": fails(404, model="nobody"),
        "errors: 400 field": fails(400, settings={"temperature": 9}),
    }


def check_kind(found, kind):
    assert isinstance(found, kind), found


class StructuredLong(BaseModel):
    """An answer so long that a client which leaves is gone before its end."""

    text: str

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema, handler):
        schema = handler(core_schema)
        schema["properties"]["text"]["minLength"] = 3000
        return schema


report({"chat": features_of(OpenAIChatModel), "Responses": features_of(OpenAIResponsesModel)})
