"""The official openai package for Python: an answer, a stream, and an adapter sent with one request."""

import base64
import os
import urllib.request

from openai import OpenAI

url = os.environ.get("MOSARA_URL", "http://127.0.0.1:8080")
client = OpenAI(base_url=f"{url}/v1", api_key=os.environ.get("MOSARA_KEY", "none"))
messages = [{"role": "user", "content": "Hello, where is my red kettle from order 4821?"}]

# "model" names the adapter.
answer = client.chat.completions.create(model="formal", messages=messages, temperature=0)
print("formal:", answer.choices[0].message.content)

print("pirate: ", end="")
for chunk in client.chat.completions.create(model="pirate", messages=messages, temperature=0, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
print()

# A request may contain its adapter. The server does not store it.
with urllib.request.urlopen(f"{url}/v1/adapters/terse/content") as file:
    data = base64.b64encode(file.read()).decode()
model = client.models.list().data[0].id
brought = client.chat.completions.create(
    model=model, messages=messages, temperature=0, extra_body={"adapter": {"data": data}}
)
print("brought along:", brought.choices[0].message.content)
