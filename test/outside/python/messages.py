"""Anthropic's SDK against a server: prints what it understood, as one JSON object. Argument: the server's URL."""

import json
import sys

import anthropic

client = anthropic.Anthropic(api_key="none", base_url=sys.argv[1], max_retries=0)
asked = {
    "model": "pirate",
    "max_tokens": 60,
    "messages": [{"role": "user", "content": "Hello, where is my red kettle from order 4821?"}],
    "extra_body": {"temperature": 0},
}
message = client.messages.create(**asked)
with client.messages.stream(**asked) as stream:
    streamed = "".join(stream.text_stream)
    final = stream.get_final_message()
count = client.messages.count_tokens(model="pirate", messages=asked["messages"])
try:
    client.messages.create(**{**asked, "model": "nobody"})
    error = None
except anthropic.NotFoundError as reason:
    error = reason.body["error"]["type"]
print(
    json.dumps(
        {
            "text": message.content[0].text,
            "streamed": streamed,
            "stop": [message.stop_reason, final.stop_reason],
            "input": [message.usage.input_tokens + message.usage.cache_read_input_tokens, count.input_tokens],
            "error": error,
        }
    )
)
