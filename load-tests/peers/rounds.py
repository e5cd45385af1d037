"""The protocol of the rivals' programs: rounds of requests, answered in this process, without HTTP.

A program prints {"ready": true} when its model is loaded. A line on stdin is a round, {"prompts": ids of each request,
"adapters": the LoRA's place in the list or null of each request, "maxTokens": n}. All requests of a round run at once.
A line on stdout answers it: {"seconds": s, "tokens": generated tokens of all requests together}.
"""

import json
import os
import sys
import time


def serve(run):
    """Answers rounds until stdin ends. `run(prompts, adapters, max_tokens)` returns the number of generated tokens."""
    out = os.fdopen(os.dup(1), "w")  # the libraries' own prints go to stderr
    os.dup2(2, 1)
    loop = run()

    def say(value):
        out.write(json.dumps(value) + "\n")
        out.flush()

    say({"ready": True})
    for line in sys.stdin:
        asked = json.loads(line)
        started = time.perf_counter()
        tokens = loop(asked["prompts"], asked["adapters"], asked["maxTokens"])
        say({"seconds": time.perf_counter() - started, "tokens": tokens})
