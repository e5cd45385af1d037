#!/usr/bin/env bash
# onnxruntime 1.30.0, CPU: the bits of a MatMul depend on the graph that holds its constant. A session packs a constant for
# the product that reads it, if the constant belongs to the product's own graph or to the one around it. Two graphs up (an If
# within an If) it is not packed, and one row then goes through another kernel: other last bits, for the same numbers.
# Seen (EPYC with AVX2): "in its own graph: same bits", "one graph up: same bits", "two graphs up: other bits".
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

ROWS, COLUMNS = 512, 2048
random = np.random.default_rng(1)
weight = numpy_helper.from_array(random.standard_normal((ROWS, COLUMNS), np.float32), "weight")
x = random.standard_normal((1, ROWS), np.float32)
chosen = helper.make_tensor_value_info("chosen", TensorProto.BOOL, [])


def value(name, size):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])


def graph(nodes, name, inputs, holds_weight):
    return helper.make_graph(nodes, name, inputs, [value(nodes[-1].output[0], COLUMNS)], [weight] * holds_weight)


def product_of(depth, holder):
    """The output of x · weight within `depth` Ifs. The weight is a constant of the graph at depth `holder`."""
    node = helper.make_node("MatMul", ["x", "weight"], [f"y{depth}"])
    for at in reversed(range(depth)):
        zeros = numpy_helper.from_array(np.zeros((1, COLUMNS), np.float32))
        other = graph([helper.make_node("Constant", [], [f"zeros{at}"], value=zeros)], f"else{at}", [], False)
        then = graph([node], f"then{at}", [], holder == at + 1)
        node = helper.make_node("If", ["chosen"], [f"y{at}"], then_branch=then, else_branch=other)
    inputs = [value("x", ROWS)] + ([chosen] if depth else [])
    model = helper.make_model(
        graph([node], "main", inputs, holder == 0), opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    )
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x, "chosen": np.array(True)} if depth else {"x": x})[0]


plain = product_of(0, 0)
for place, holder in {"in its own graph": 2, "one graph up": 1, "two graphs up": 0}.items():
    print(f"{place}: {'same' if np.array_equal(product_of(2, holder), plain) else 'other'} bits")
PY
found=$(env/bin/python try.py)
echo "$found"
test "$found" = "in its own graph: same bits
one graph up: same bits
two graphs up: other bits"
