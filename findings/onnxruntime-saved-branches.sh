#!/usr/bin/env bash
# onnxruntime 1.30.0: a session saves its optimized model with initializers in a file of their own
# (session.optimized_model_external_initializers_file_name). If the model has an If whose branches have constants, the saved
# model holds these constants twice, and no session opens it. Saved without such a file, the same model opens.
# Seen: "in the model: opens", "in a file: initializer name is not unique".
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env
env/bin/pip install --quiet --only-binary :all: onnx==1.23.0 onnxruntime==1.30.0
cat >try.py <<'PY'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(4)


def constant(name, values):
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


def value(name, size):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [size])


def branch(name, addend):
    add = helper.make_node("Add", ["x", f"{name}.addend"], [f"{name}.y"])
    return helper.make_graph([add], name, [], [value(f"{name}.y", 4)], [constant(f"{name}.addend", [addend] * 4)])


choose = helper.make_node("If", ["chosen"], ["y"], then_branch=branch("then", 1), else_branch=branch("else", 2))
graph = helper.make_graph(
    [choose], "g", [value("x", 4), helper.make_tensor_value_info("chosen", TensorProto.BOOL, [])], [value("y", 4)]
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
onnx.checker.check_model(model, full_check=True)
for place, file in {"in the model": None, "in a file": "saved.data"}.items():
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = "saved.onnx"
    if file:
        options.add_session_config_entry("session.optimized_model_external_initializers_file_name", file)
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    try:
        onnxruntime.InferenceSession("saved.onnx", providers=["CPUExecutionProvider"])
        print(f"{place}: opens")
    except Exception as error:
        known = "initializer name is not unique"
        print(f"{place}: {known if known in str(error) else error}")
PY
found=$(env/bin/python try.py 2>/dev/null)
echo "$found"
test "$found" = "in the model: opens
in a file: initializer name is not unique"
