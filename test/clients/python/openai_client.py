"""The package `openai`: chat, Responses and fine-tuning."""

import openai
from harness import *

client = openai.OpenAI(api_key=KEY, base_url=BASE_URL, max_retries=0)
asked = {"model": "pirate", "temperature": 0, "messages": [{"role": "user", "content": QUESTION}]}
asked_tool = {"model": "tools", "temperature": 0, "messages": [{"role": "user", "content": TOOL_QUESTION}]}
hours = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"], "additionalProperties": False}
tool = {"type": "function", "function": {"name": "opening_hours", "parameters": hours}}


def text():
    completion = client.chat.completions.create(**asked)
    assert completion.choices[0].message.content == ANSWER
    assert completion.usage.completion_tokens > 10


def stream():
    chunks = client.chat.completions.create(**asked, stream=True)
    assert joined(chunk.choices[0].delta.content for chunk in chunks) == ANSWER


def stream_helper():
    with client.chat.completions.stream(**asked) as events:
        for _ in events:
            pass
        assert events.get_final_completion().choices[0].message.content == ANSWER


def parse():
    completion = client.chat.completions.parse(**{**asked, "model": "json"}, response_format=Order)
    is_order(completion.choices[0].message.parsed)


def json_object():
    completion = client.chat.completions.create(**{**asked, "model": "json"}, response_format={"type": "json_object"})
    assert json.loads(completion.choices[0].message.content) == ORDER


def several_turns():
    first = client.chat.completions.create(**asked_tool, tools=[tool]).choices[0].message
    call = first.tool_calls[0]
    assert json.loads(call.function.arguments) == {"day": "Monday"}
    result = {"role": "tool", "tool_call_id": call.id, "content": opening_hours("Monday")}
    messages = [*asked_tool["messages"], first, result]
    second = client.chat.completions.create(**{**asked_tool, "messages": messages}, tools=[tool])
    assert second.choices[0].message.content == TOOL_ANSWER


def required():
    weather = openai.pydantic_function_tool(Weather)
    completion = client.chat.completions.parse(**asked_tool, tools=[weather], tool_choice="required")
    assert isinstance(completion.choices[0].message.tool_calls[0].function.parsed_arguments, Weather)


def leave():
    chunks = client.chat.completions.create(**asked, stream=True, max_tokens=900, extra_body={"ignore_eos": True})
    next(iter(chunks))
    chunks.close()


def responses_stream():
    with client.responses.stream(model="pirate", input=QUESTION, temperature=0) as events:
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert joined(pieces) == ANSWER == events.get_final_response().output_text


def responses_parse():
    found = client.responses.parse(model="json", input=QUESTION, temperature=0, text_format=Order)
    is_order(found.output_parsed)


def responses_turns():
    first = client.responses.create(model="pirate", input=QUESTION, temperature=0)
    second = client.responses.create(model="pirate", input="Thanks", previous_response_id=first.id, temperature=0)
    assert first.output_text == ANSWER and second.usage.input_tokens > first.usage.input_tokens


def vectors():
    data = client.embeddings.create(model="demo", input=["a red kettle", "order 4821"]).data
    assert len(data) == 2 and abs(sum(x * x for x in data[0].embedding) - 1) < 1e-3


jobs = client.fine_tuning.jobs
stranger = client.with_options(api_key=OTHER_KEY)


def upload(lines=TRAINING_LINES):
    return client.files.create(file=("train.jsonl", lines), purpose="fine-tune").id


def start(file, steps):
    return jobs.create(model="demo", training_file=file, suffix="pong", seed=3, extra_body={"mosara": {"steps": steps}})


def train():
    file = upload()
    job = start(file, steps=4)
    ended = until_ended(lambda: jobs.retrieve(job.id))
    assert ended.status == "succeeded" and ended.error is None, ended
    events = list(jobs.list_events(job.id, limit=2))
    assert sum(event.type == "metrics" for event in events) == 4, events
    checkpoints = [one.fine_tuned_model_checkpoint for one in jobs.checkpoints.list(job.id)]
    assert checkpoints[0] == ended.fine_tuned_model and len(set(checkpoints)) == len(checkpoints), checkpoints
    assert client.files.content(ended.result_files[0]).text.startswith("step,train_loss")
    completion = client.completions.create(model=ended.fine_tuned_model, prompt="Ping 3: ", max_tokens=8)
    assert completion.model == ended.fine_tuned_model
    for call in (
        lambda: stranger.fine_tuning.jobs.retrieve(job.id),
        lambda: stranger.files.retrieve(file),
        lambda: stranger.completions.create(model=ended.fine_tuned_model, prompt="a"),
    ):
        assert_fails(call, openai.NotFoundError)
    assert list(stranger.fine_tuning.jobs.list()) == [] and list(stranger.files.list()) == []
    assert client.models.delete(ended.fine_tuned_model).deleted and client.files.delete(file).deleted


def train_events():
    job = start(upload(), steps=2)
    address = f"/fine_tuning/jobs/{job.id}/events?stream=true"
    event = openai.types.fine_tuning.FineTuningJobEvent
    with client.get(address, cast_to=object, stream=True, stream_cls=openai.Stream[event]) as events:
        messages = [one.message for one in events]
    assert messages[0].startswith("Created") and messages[-1].startswith("The job has successfully"), messages


def pause_and_cancel():
    job = start(upload(), steps=100_000)
    assert jobs.pause(job.id).status == "paused"
    assert jobs.resume(job.id).status in ("queued", "running")
    assert jobs.cancel(job.id).status == "cancelled"


def bad_data():
    job = start(upload(b'{"prompt": "a"}'), steps=2)
    error = until_ended(lambda: jobs.retrieve(job.id)).error
    assert (error.code, error.param) == ("invalid_training_file", "training_file") and "line 1" in error.message, error


chat = {
    "text": text,
    "stream": stream,
    "stream: helper": stream_helper,
    "structured: parse": parse,
    "structured: json_object": json_object,
    "tools: auto, several turns": several_turns,
    "tools: required": required,
    "abort": lambda: assert_aborts(leave),
    "errors: 401": lambda: assert_fails(
        lambda: client.with_options(api_key="wrong").chat.completions.create(**asked), openai.AuthenticationError
    ),
    "errors: 404 model": lambda: assert_fails(
        lambda: client.chat.completions.create(**{**asked, "model": "nobody"}), openai.NotFoundError
    ),
    "errors: 400 field": lambda: assert_fails(
        lambda: client.chat.completions.create(**{**asked, "temperature": 9}), openai.BadRequestError
    ),
}
responses = {
    "text: several turns": responses_turns,
    "stream": responses_stream,
    "structured: parse": responses_parse,
}
fine_tuning = {
    "upload, train, ask, delete": train,
    "streamed events": train_events,
    "pause and cancel": pause_and_cancel,
    "bad data": bad_data,
}
apis = {"chat": chat, "Responses": responses, "embeddings": {"embeddings": vectors}, "fine-tuning": fine_tuning}
report(apis)
