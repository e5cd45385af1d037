#!/usr/bin/env bash
# onnxruntime-node 1.30.0, com.microsoft.GroupQueryAttention on the CPU: a decode step gives a row other bits alone than
# beside three copies of itself, if a step of one row has fewer heads than the session has threads, and the row is longer than
# a block. The kernel then divides the row among threads. Fewer threads, or ORT_GQA_DISABLE_FLASH_ATTENTION=1, give the
# same bits. Seen: "2 threads: same bits", "8 threads: other bits", "8 threads, without flash: same bits".
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm init -y >/dev/null
npm install --silent --ignore-scripts --no-audit --no-fund onnxruntime-node@1.30.0 >/dev/null
cat >try.cjs <<'JS'
const ort = require("onnxruntime-node");
const [numThreads, name] = [Number(process.argv[2]), process.argv[3]];
const [numHeads, headSize, past, room] = [2, 128, 2000, 2048];
// An ONNX model by hand: one node of attention with 2 heads, keys and values of their own.
const varint = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >> 7)]);
const field = (number, content) => {
  const bytes = Buffer.from(content);
  return Buffer.from([...varint((number << 3) | 2), ...varint(bytes.length), ...bytes]);
};
const int = (number, value) => Buffer.from([...varint(number << 3), ...varint(value)]);
const join = (...parts) => Buffer.concat(parts);
const info = (id, type) => join(field(1, id), field(2, field(1, int(1, type))));
const attribute = (id, value) => field(5, join(field(1, id), int(3, value), int(20, 2)));
const inputs = { q: 1, k: 1, v: 1, past_k: 1, past_v: 1, last: 6, total: 6 };
const outputs = ["out", "new_k", "new_v"];
const node = join(
  ...Object.keys(inputs).map((id) => field(1, id)),
  ...outputs.map((id) => field(2, id)),
  field(4, "GroupQueryAttention"),
  attribute("num_heads", numHeads),
  attribute("kv_num_heads", numHeads),
  field(7, "com.microsoft"),
);
const graph = join(
  field(1, node),
  field(2, "g"),
  ...Object.entries(inputs).map(([id, type]) => field(11, info(id, type))),
  ...outputs.map((id) => field(12, info(id, 1))),
);
const model = join(int(1, 10), field(7, graph), field(8, int(2, 21)), field(8, join(field(1, "com.microsoft"), int(2, 1))));
const values = (length) => Float32Array.from({ length }, (_, i) => Math.sin(i * i));
const rows = (numRows, length, shape) => {
  const one = values(length);
  const data = new Float32Array(numRows * length);
  for (let row = 0; row < numRows; row++) data.set(one, row * length);
  return new ort.Tensor("float32", data, [numRows, ...shape]);
};
async function firstRow(session, numRows) {
  const width = numHeads * headSize;
  const token = () => rows(numRows, width, [1, width]);
  const cache = () => rows(numRows, width * room, [numHeads, room, headSize]);
  const last = new ort.Tensor("int32", new Int32Array(numRows).fill(past), [numRows]);
  const total = new ort.Tensor("int32", Int32Array.of(past + 1), []);
  const feeds = { q: token(), k: token(), v: token(), past_k: cache(), past_v: cache(), last, total };
  return (await session.run(feeds, ["out"])).out.data.slice(0, width);
}
(async () => {
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: numThreads });
  const [alone, beside] = [await firstRow(session, 1), await firstRow(session, 4)];
  console.log(`${name}: ${alone.every((value, i) => Object.is(value, beside[i])) ? "same" : "other"} bits`);
})();
JS
output=$(
  node try.cjs 2 "2 threads"
  node try.cjs 8 "8 threads"
  ORT_GQA_DISABLE_FLASH_ATTENTION=1 node try.cjs 8 "8 threads, without flash"
)
echo "$output"
[[ $output == $'2 threads: same bits\n8 threads: other bits\n8 threads, without flash: same bits' ]]
