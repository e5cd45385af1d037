#!/usr/bin/env bash
# onnxruntime 1.30.0, CPU: an input that only one branch of an If reads may stay away from a run that takes the other branch. The
# runtime asks for an input when a node reads it. Only `run` of the bindings demands every input; a run with an IO binding does not.
# This is worth knowing, because a graph with hundreds of inputs pays for each of them in every run, read or not.
# Seen (EPYC with AVX2): "run: refused", "binding, branch not taken: [1.0]", "binding, branch taken: Missing Input: extra".
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
env/bin/pip install --quiet --only-binary :all: onnx==1.23.0 onnxruntime==1.30.0
cat >try.py <<'PY'
import re

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper


def value(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


with_extra = helper.make_graph([helper.make_node("Add", ["x", "extra"], ["sum"])], "with", [], [value("sum", [1])])
without = helper.make_graph([helper.make_node("Identity", ["x"], ["same"])], "without", [], [value("same", [1])])
choice = helper.make_node("If", ["chosen"], ["y"], then_branch=with_extra, else_branch=without)
inputs = [value("chosen", [], TensorProto.BOOL), value("x", [1]), value("extra", [1])]
model = helper.make_model(
    helper.make_graph([choice], "main", inputs, [value("y", [1])]),
    opset_imports=[helper.make_opsetid("", 21)],
    ir_version=10,
)
onnx.checker.check_model(model, full_check=True)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def bound(chosen):
    binding = session.io_binding()
    binding.bind_cpu_input("chosen", np.array(chosen))
    binding.bind_cpu_input("x", np.ones(1, np.float32))
    binding.bind_output("y")
    session.run_with_iobinding(binding)
    return binding.copy_outputs_to_cpu()[0].tolist()


try:
    session.run(None, {"chosen": np.array(False), "x": np.ones(1, np.float32)})
    print("run: accepted")
except ValueError:
    print("run: refused")
print(f"binding, branch not taken: {bound(False)}")
try:
    print(f"binding, branch taken: {bound(True)}")
except Exception as error:
    print(f"binding, branch taken: {re.search('Missing Input: extra', str(error)).group()}")
PY
found=$(env/bin/python try.py 2>/dev/null)
echo "$found"
test "$found" = "run: refused
binding, branch not taken: [1.0]
binding, branch taken: Missing Input: extra"
