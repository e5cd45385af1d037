"""The package `openai-agents`: its runner over Responses (the default) and over chat."""

import openai
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from harness import *

set_tracing_disabled(True)
hours = function_tool(opening_hours)


def features_of(kind):
    def agent_of(model, key=KEY, settings=None, **more):
        client = openai.AsyncOpenAI(api_key=key, base_url=BASE_URL, max_retries=0)
        chosen = ModelSettings(temperature=0, **(settings or {}))
        return Agent(**{"name": "shop", "model": kind(model, client), "model_settings": chosen, **more})

    async def text():
        assert (await Runner.run(agent_of("pirate"), QUESTION)).final_output == ANSWER

    async def session():
        kept = SQLiteSession("one")
        answers = [(await Runner.run(agent_of("pirate"), said, session=kept)).final_output for said in (QUESTION, "Thanks")]
        assert answers[0] == ANSWER and answers[1]

    async def stream():
        running = Runner.run_streamed(agent_of("pirate"), QUESTION)
        pieces = [event.data.delta async for event in running.stream_events() if is_piece(event)]
        assert joined(pieces) == running.final_output == ANSWER

    async def output_type():
        is_order((await Runner.run(agent_of("json", output_type=Order), QUESTION)).final_output)

    async def several_turns():
        assert (await Runner.run(agent_of("tools", tools=[hours]), TOOL_QUESTION)).final_output == TOOL_ANSWER

    async def required():
        more = {"tools": [hours], "settings": {"tool_choice": "required"}, "tool_use_behavior": "stop_on_first_tool"}
        assert (await Runner.run(agent_of("tools", **more), TOOL_QUESTION)).final_output == TOOL_RESULT

    async def handoff():
        more = {"handoffs": [agent_of("pirate", name="pirate")], "settings": {"tool_choice": "transfer_to_pirate"}}
        assert (await Runner.run(agent_of("tools", **more), QUESTION)).last_agent.name == "pirate"

    async def leave():
        more = {"extra_body": {"ignore_eos": True}, "max_tokens": 900}
        running = Runner.run_streamed(agent_of("pirate", settings=more), QUESTION)
        async for event in running.stream_events():
            if is_piece(event):
                running.cancel()

    def fails(status, model="pirate", **more):
        return lambda: assert_fails(lambda: Runner.run(agent_of(model, **more), QUESTION), openai.APIStatusError, status)

    return {
        "text": text,
        "text: session": session,
        "stream": stream,
        "structured: output_type": output_type,
        "tools: auto, several turns": several_turns,
        "tools: required": required,
        "tools: handoff": handoff,
        "abort": lambda: assert_aborts(leave),
        "errors: 401": fails(401, key="wrong"),
        "errors: 404 model": fails(404, model="nobody"),
    }


def is_piece(event):
    return event.type == "raw_response_event" and event.data.type == "response.output_text.delta"


report({"Responses": features_of(OpenAIResponsesModel), "chat": features_of(OpenAIChatCompletionsModel)})
