/** Files that an operator or a user hands over: keys, training data, receipts. */
import { parseExample } from "../../src/data/examples.ts";
import { parseKeysFile } from "../../src/keys/keys-file.ts";
import { readReceipts } from "../../src/receipt/read-receipt.ts";
import { verifyReceipt } from "../../src/receipt/verify-receipt.ts";
import { damagedJson } from "../inputs/json.ts";
import { MAX_SECONDS, type Target } from "../target.ts";

const HASH = "0123456789abcdef".repeat(4);
const KEYS = {
  version: 1,
  tenants: { acme: { limits: { tokensPerMinute: 1000, priority: 2, queueShare: 0.5 } } },
  keys: [
    {
      id: "app",
      sha256: HASH,
      tenant: "acme",
      scopes: ["use", "write"],
      limits: { concurrent: 4, requestsPerMinute: 9 },
    },
    {
      id: "ci",
      sha256: HASH.replace("0", "f"),
      tenant: "acme",
      scopes: ["admin"],
      adapters: ["team-*"],
      expires: "2027-01-31T00:00:00Z",
    },
  ],
};
const KEY_WORDS =
  "version keys tenants id sha256 tenant scopes adapters expires limits use write train metrics admin shared bytes".split(
    " ",
  );

const keys: Target = {
  name: "keys-file",
  makeInput: (random) => damagedJson(KEYS, KEY_WORDS, random),
  read: (input) => void parseKeysFile(Buffer.from(input).toString("utf8"), "keys.json"),
  maxSeconds: MAX_SECONDS,
};

const EXAMPLES = [
  { prompt: "a", completion: "b" },
  {
    messages: [
      { role: "user", content: "a" },
      { role: "assistant", content: "b", weight: 1 },
    ],
    tools: [],
  },
  { prompt: "a", chosen: "b", rejected: "c" },
  {
    prompt: [{ role: "user", content: "a" }],
    chosen: [{ role: "assistant", content: "b" }],
    rejected: [{ role: "assistant", content: "c" }],
  },
  { prompt: "a", references: ["b", "c"] },
  { question: "a", choices: ["x", "y"], answer: 1 },
  {
    conversations: [
      { from: "human", value: "a" },
      { from: "gpt", value: "b" },
    ],
  },
  { instruction: "a", input: "b", output: "c" },
];
const EXAMPLE_WORDS = [
  ...new Set(EXAMPLES.flatMap((example) => Object.keys(example))),
  "text",
  "role",
  "content",
  "system",
  "weight",
];

const data: Target = {
  name: "training-data",
  makeInput: (random) => damagedJson(random.one(EXAMPLES), EXAMPLE_WORDS, random),
  read: (input) => void parseExample(Buffer.from(input).toString("utf8"), "data.jsonl", 1),
  maxSeconds: MAX_SECONDS,
};

const STATEMENT = {
  version: 1,
  request: "r",
  issued: 1,
  program: { mosara: "1", build: "b", onnxruntime: "1", node: "20" },
  machine: { arch: "x64", features: ["avx2"], device: "cpu", threads: 1, batch_invariant: true },
  base: { id: HASH, weights: "int8", form: HASH, bases: HASH },
  adapter: { generation: HASH, placement: "live", blend: [{ generation: HASH, weight: 0.5 }] },
  sampling: {
    temperature: 0,
    top_p: 1,
    top_k: 0,
    min_p: 0,
    repetition_penalty: 1,
    presence_penalty: 0,
    frequency_penalty: 0,
    seed: 1,
    max_tokens: 2,
    min_tokens: 0,
    speculative_tokens: 0,
  },
  rules: HASH,
  grammar: null,
  prompts: { count: 1, tokens: 2, ids: HASH },
  answers: { count: 1, tokens: 1, ids: HASH, logprobs: null, prompt_logprobs: null },
};
const RECEIPT = {
  format: "mosara-receipt-1",
  statement: STATEMENT,
  signature: { public_key: "A".repeat(43), value: "B".repeat(86) },
  evidence: {
    prompts: [[1, 2]],
    answers: [[3]],
    rules: { stop_token_ids: [2], logit_bias: [[1, 0.5]], allowed_token_ids: null, bad_words: [[1]], grammar: null },
  },
};
const RECEIPT_WORDS = [...Object.keys(STATEMENT), ...Object.keys(RECEIPT), "mosara_receipt", "response", "public_key"];

const receipt: Target = {
  name: "receipt",
  makeInput: (random) => {
    const tree = random.once(3) ? { mosara_receipt: RECEIPT } : RECEIPT;
    if (!random.once(4)) return damagedJson(tree, RECEIPT_WORDS, random);
    return Buffer.from(
      `${Buffer.from(damagedJson(STATEMENT, RECEIPT_WORDS, random)).toString("base64url")}.${"B".repeat(86)}`,
    );
  },
  read: (input) => {
    for (const one of readReceipts(Buffer.from(input).toString("utf8"), "receipt.json")) verifyReceipt(one, null);
  },
  maxSeconds: MAX_SECONDS,
};

export const SETTING_TARGETS: readonly Target[] = [keys, data, receipt];
