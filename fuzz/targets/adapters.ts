/** Files of adapters: `.mosara`, and the two files of a PEFT directory. */
import { decodeAdapter, encodeAdapter } from "../../src/adapter/adapter-file.ts";
import type { Adapter } from "../../src/adapter/adapter.ts";
import { foreignFileNotice } from "../../src/adapter/foreign-file.ts";
import { adapterOfPeftAlone } from "../../src/adapter/peft.ts";
import { decodeBounded, encode } from "../../src/formats/msgpack.ts";
import { parseSafetensors } from "../../src/formats/safetensors.ts";
import { hostTensor } from "../../src/tensor/host-tensor.ts";
import { damagedBytes, joined } from "../inputs/bytes.ts";
import { damagedJson, damagedTree } from "../inputs/json.ts";
import type { Random } from "../inputs/random.ts";
import { MAX_SECONDS, type Target } from "../target.ts";

const HASH = "0123456789abcdef".repeat(4);
const LAYER = "layers.0.self_attn.q_proj";
const numbers = (shape: number[]) =>
  hostTensor(
    "float32",
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i / 8),
  );

const ADAPTERS: readonly Adapter[] = [
  {
    method: "mo-sara",
    baseId: HASH,
    heads: 2,
    router: "rank1",
    targets: [
      {
        name: LAYER,
        dIn: 4,
        dOut: 6,
        k: 3,
        basisId: HASH,
        tensors: {
          lambda: numbers([2, 3]),
          v: numbers([6]),
          router_w1: numbers([3]),
          router_w2: numbers([2]),
        },
      },
    ],
    card: {
      method: "mo-sara",
      steps: 3,
      scores: [0.5, 1],
      golden: [{ prompt: [1, 2], answer: [3], logprobs: [-0.5] }],
    },
  } as unknown as Adapter,
  {
    method: "lora",
    baseId: HASH,
    heads: 1,
    router: "none",
    targets: [
      {
        name: LAYER,
        dIn: 4,
        dOut: 6,
        k: 2,
        scale: 2,
        tensors: { lora_A: numbers([2, 4]), lora_B: numbers([6, 2]) },
      },
    ],
    card: {},
  } as unknown as Adapter,
];
const FILES = ADAPTERS.map((adapter) => encodeAdapter(adapter));
const TREES = FILES.map((bytes) => decodeBounded(bytes, { maxBytes: bytes.length, maxDepth: 32, maxItems: 10_000 }));
const WORDS =
  "magic version method baseId heads router targets card name dIn dOut k basisId scale tensors dtype shape data lambda v router_w1 router_w2 router_full A Lambda B lora_A lora_B mo-sara sara lora rank1 full none float32 float16 bfloat16".split(
    " ",
  );

const mosara: Target = {
  name: "mosara-file",
  makeInput: (random) => {
    const at = random.below(FILES.length);
    const bytes = FILES[at] ?? new Uint8Array();
    if (random.once(2)) return damagedBytes(bytes, random.one(FILES), random);
    try {
      return encode(damagedTree(TREES[at], WORDS, random));
    } catch {
      return damagedBytes(bytes, random.one(FILES), random); // a value that MessagePack cannot hold
    }
  },
  read: (input) => {
    foreignFileNotice(input);
    decodeAdapter(input);
  },
  maxSeconds: MAX_SECONDS,
};

const PEFT_CONFIG = {
  peft_type: "LORA",
  task_type: "CAUSAL_LM",
  r: 2,
  lora_alpha: 4,
  lora_dropout: 0,
  bias: "none",
  use_rslora: false,
  use_dora: false,
  fan_in_fan_out: false,
  target_modules: ["q_proj", "v_proj"],
  rank_pattern: {},
  alpha_pattern: { "layers.0": 8 },
  modules_to_save: null,
  base_model_name_or_path: "x",
};
const PEFT_TENSORS = {
  "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": tensorEntry([2, 4], 0),
  "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": tensorEntry([6, 2], 32),
  __metadata__: { format: "pt" },
};

function tensorEntry(shape: readonly number[], start: number): object {
  return { dtype: "F32", shape, data_offsets: [start, start + 4 * shape.reduce((a, b) => a * b, 1)] };
}

/** A safetensors file with this header. Its length is right, unless it is damaged too. */
function safetensorsOf(header: Uint8Array, numBytes: number): Uint8Array {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(header.length), true);
  return joined(length, header, new Uint8Array(numBytes).fill(7));
}

const GOOD_TENSORS = safetensorsOf(Buffer.from(JSON.stringify(PEFT_TENSORS)), 80);
const TENSOR_WORDS = ["dtype", "shape", "data_offsets", "F32", "BF16", "F16", "F64", "I64", "U8", "BOOL", "F8_E4M3"];

function damagedTensors(random: Random): Uint8Array {
  if (random.once(2)) return damagedBytes(GOOD_TENSORS, GOOD_TENSORS, random);
  return safetensorsOf(damagedJson(PEFT_TENSORS, TENSOR_WORDS, random), random.once(2) ? 80 : random.below(200));
}

const safetensors: Target = {
  name: "safetensors",
  makeInput: damagedTensors,
  read: (input) => void parseSafetensors(input, "x.safetensors"),
  maxSeconds: MAX_SECONDS,
};

/** Both files in one input: the length of the first one in four bytes, then one after the other. */
const peft: Target = {
  name: "peft",
  makeInput: (random) => {
    const isConfig = random.once(2);
    const config = isConfig
      ? damagedJson(PEFT_CONFIG, [...Object.keys(PEFT_CONFIG), "LOHA", "all", "lora_only"], random)
      : Buffer.from(JSON.stringify(PEFT_CONFIG));
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, config.length, true);
    return joined(length, config, isConfig ? GOOD_TENSORS : damagedTensors(random));
  },
  read: (input) => {
    const length = input.length < 4 ? 0 : new DataView(input.buffer, input.byteOffset).getUint32(0, true);
    const files = { config: input.slice(4, 4 + length), tensors: input.slice(4 + length) };
    adapterOfPeftAlone(files);
  },
  maxSeconds: MAX_SECONDS,
};

export const ADAPTER_TARGETS: readonly Target[] = [mosara, safetensors, peft];
