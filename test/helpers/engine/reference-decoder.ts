/**
 * A Llama-shaped decoder written out in float64, one number at a time, straight from the papers: RMSNorm (arXiv
 * 1910.07467), rotary positions (2104.09864, halves rotated), grouped-query attention (2305.13245), SwiGLU
 * (2002.05202). Slow, and shares no code with src/model.
 */
// Indices are bounded by their loops, hence `!`.
import { openSafetensors } from "../../../src/formats/safetensors.ts";
import { toFloat32 } from "../../../src/tensor/host-tensor.ts";
import { join } from "node:path";

type Vector = readonly number[];
type Matrix = readonly Vector[];

type Linear = (x: Vector) => number[];

interface Projections {
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
}

export interface ReferenceSizes {
  readonly numLayers: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headSize: number;
  readonly theta: number;
  readonly epsilon: number;
}

const dot = (a: Vector, b: Vector): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const times = (matrix: Matrix, x: Vector): number[] => matrix.map((row) => dot(row, x));
const plus = (a: Vector, b: Vector): number[] => a.map((value, i) => value + b[i]!);

function norm(x: Vector, weight: Vector, epsilon: number): number[] {
  const scale = 1 / Math.sqrt(dot(x, x) / x.length + epsilon);
  return x.map((value, i) => value * scale * weight[i]!);
}

/** One head at one position: pairs (i, i + half) turned by position · θ^(−2i/D). */
function rotate(head: Vector, position: number, theta: number): number[] {
  const half = head.length / 2;
  return head.map((value, i) => {
    const pair = i % half;
    const angle = position * theta ** ((-2 * pair) / head.length);
    const other = i < half ? -head[i + half]! : head[i - half]!;
    return value * Math.cos(angle) + other * Math.sin(angle);
  });
}

function softmax(scores: Vector): number[] {
  const top = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - top));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

const headsOf = (x: Vector, size: number): Vector[] =>
  Array.from({ length: x.length / size }, (_, head) => x.slice(head * size, (head + 1) * size));

/** What an adapter adds to the output of a linear layer for its input x. */
export type Update = (linear: string, x: Vector) => Vector | null;

/** Logits of every position, [positions, V] flat. */
export async function referenceLogits(
  dir: string,
  sizes: ReferenceSizes,
  ids: readonly number[],
  update: Update = () => null,
): Promise<Float64Array> {
  await using file = await openSafetensors(join(dir, "model.safetensors"));
  const flat = async (name: string): Promise<number[]> =>
    Array.from(toFloat32(await file.read(`model.${name}.weight`)));
  const matrix = async (name: string): Promise<Matrix> =>
    headsOf(await flat(name), file.tensors.get(`model.${name}.weight`)!.shape[1]!); // read by the same name
  const linear = async (name: string): Promise<Linear> => {
    const weight = await matrix(name);
    return (x) => {
      const delta = update(name, x);
      return delta ? plus(times(weight, x), delta) : times(weight, x);
    };
  };
  const embedding = await matrix("embed_tokens");
  let rows: Matrix = ids.map((id) => embedding[id]!);
  for (let layer = 0; layer < sizes.numLayers; layer++) {
    const at = `layers.${layer}`;
    const inputs = await normed(rows, `${at}.input_layernorm`);
    const heads = attend(inputs, await projections(at), sizes);
    const output = await linear(`${at}.self_attn.o_proj`);
    rows = rows.map((row, t) => plus(row, output(heads[t]!)));
    const [gate, up, down] = [
      await linear(`${at}.mlp.gate_proj`),
      await linear(`${at}.mlp.up_proj`),
      await linear(`${at}.mlp.down_proj`),
    ];
    const mlp = await normed(rows, `${at}.post_attention_layernorm`);
    rows = rows.map((row, t) => {
      const ups = up(mlp[t]!);
      return plus(row, down(gate(mlp[t]!).map((value, i) => (value / (1 + Math.exp(-value))) * ups[i]!)));
    });
  }
  const head = headsOf(Array.from(toFloat32(await file.read("lm_head.weight"))), rows[0]!.length);
  return Float64Array.from((await normed(rows, "norm")).flatMap((row) => times(head, row)));

  async function normed(xs: Matrix, name: string): Promise<Matrix> {
    const weight = await flat(name);
    return xs.map((x) => norm(x, weight, sizes.epsilon));
  }
  async function projections(at: string): Promise<Projections> {
    const [q, k, v] = [
      await linear(`${at}.self_attn.q_proj`),
      await linear(`${at}.self_attn.k_proj`),
      await linear(`${at}.self_attn.v_proj`),
    ];
    return { q, k, v };
  }
}

/** Causal attention, every head written out: [positions, H·D]. */
function attend(inputs: Matrix, { q, k, v }: Projections, sizes: ReferenceSizes): number[][] {
  const { headSize, theta, numHeads, numKvHeads } = sizes;
  const turned = (project: Linear): Vector[][] =>
    inputs.map((x, t) => headsOf(project(x), headSize).map((head) => rotate(head, t, theta)));
  const [queries, keys] = [turned(q), turned(k)];
  const values = inputs.map((x) => headsOf(v(x), headSize));
  return inputs.map((_, t) =>
    queries[t]!.flatMap((query, head) => {
      const group = Math.floor(head / (numHeads / numKvHeads));
      const weights = softmax(keys.slice(0, t + 1).map((key) => dot(query, key[group]!) / Math.sqrt(headSize)));
      return Array.from({ length: headSize }, (__, d) =>
        weights.reduce((sum, w, s) => sum + w * values[s]![group]![d]!, 0),
      );
    }),
  );
}
