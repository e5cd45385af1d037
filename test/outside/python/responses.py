"""OpenAI's SDK and its agents against a server: prints what they understood, as one JSON object. Argument: the server's URL."""

import asyncio
import json
import sys

from agents import Agent, OpenAIResponsesModel, Runner, SQLiteSession, set_tracing_disabled
from openai import AsyncOpenAI, NotFoundError
from pydantic import BaseModel

QUESTION = "Hello, where is my red kettle from order 4821?"


class Order(BaseModel):
    kind: str
    name: str | None
    order: str | None
    item: str | None


async def main() -> dict:
    set_tracing_disabled(True)
    client = AsyncOpenAI(api_key="none", base_url=sys.argv[1] + "/v1", max_retries=0)
    first = await client.responses.create(model="pirate", input=QUESTION, temperature=0)
    second = await client.responses.create(model="pirate", input="Thanks", previous_response_id=first.id)
    parsed = await client.responses.parse(model="json", input=QUESTION, text_format=Order, temperature=0)
    async with client.responses.stream(model="pirate", input=QUESTION, temperature=0) as stream:
        async for _ in stream:
            pass
        streamed = (await stream.get_final_response()).output_text
    try:
        await client.responses.create(model="pirate", input="x", previous_response_id="resp_none")
        error = None
    except NotFoundError as reason:
        error = reason.code
    agent = Agent(name="shop", model=OpenAIResponsesModel("pirate", client))
    typed = Agent(name="typed", model=OpenAIResponsesModel("json", client), output_type=Order)
    session = SQLiteSession("one")
    answers = [(await Runner.run(agent, text, session=session)).final_output for text in (QUESTION, "Thanks")]
    running = Runner.run_streamed(agent, QUESTION)
    async for _ in running.stream_events():
        pass
    return {
        "text": first.output_text,
        "status": first.status,
        "inputs": [first.usage.input_tokens, second.usage.input_tokens],
        "parsed": parsed.output_parsed.model_dump(),
        "streamed": streamed,
        "error": error,
        "agent": answers,
        "agentStreamed": running.final_output,
        "typed": (await Runner.run(typed, QUESTION)).final_output.model_dump(),
    }


print(json.dumps(asyncio.run(main())))
