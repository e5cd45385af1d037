"""Whether TensorBoard reads what mosara wrote: every number of a step log, under its tag and step.

python scripts/reference/read_events.py <the directory of --tensorboard> <out>.log.jsonl      (needs tensorboard from PyPI)
"""

import json
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TAGS = {"evalLoss": "loss", "lr": "learning_rate", "gradNorm": "grad_norm", "tokensPerSecond": "tokens_per_second"}
float32 = lambda value: struct.unpack("f", struct.pack("f", value))[0]

events = EventAccumulator(sys.argv[1])
events.Reload()
wanted = {}
for line in map(json.loads, open(sys.argv[2])):
    use = "eval" if "evalLoss" in line else "train"
    for key, value in line.items():
        if key != "step":
            wanted.setdefault(f"{use}/{TAGS.get(key, key)}", {})[line["step"]] = float32(value)
found = {tag: {one.step: one.value for one in events.Scalars(tag)} for tag in events.Tags()["scalars"]}
if found != wanted:
    sys.exit(f"TensorBoard reads {found}, the log has {wanted}")
print(f"{sum(map(len, found.values()))} numbers under {len(found)} tags: equal to the log")
