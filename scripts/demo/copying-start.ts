/**
 * Initial weights that can already begin to copy. A small decoder finds out only after millions of tokens that it can
 * look up what followed a token before; so the first two layers start with the outline of that: heads of layer 0 look
 * one and two tokens back, heads of layer 1 look for places that came after the present token. All else stays random,
 * and everything is trained. Sources: Olsson et al., "In-context Learning and Induction Heads" (2022); Trockman and
 * Kolter, "Mimetic Initialization" (2023).
 */
import { readFile } from "node:fs/promises";
import { parseSafetensors } from "../../src/formats/safetensors.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { type HostTensor, hostTensor, toFloat32 } from "../../src/tensor/host-tensor.ts";

/** A matrix `[rows, columns]`, changed in place. */
interface Matrix {
  readonly data: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/** Sizes of attention, as the configuration has them. */
export interface HeadSizes {
  readonly hidden: number;
  readonly headDim: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly ropeTheta: number;
}

/**
 * Deviation of the embeddings, large against the steps of the optimiser, and the last norm that keeps the first logits
 * small.
 */
const EMBEDDING = 0.1;
const LAST_NORM = 0.25;
/** Planes of the rotation that tell neighbours apart, and the size of queries and keys there. */
const NUM_NEAR_PLANES = 6;
const NEAR = 5.8;
/** Size of what a head of layer 0 writes, of what layer 1 compares, and of what it copies. */
const WRITE = 0.15;
const MATCH = 2;
const COPY = 0.17;

/**
 * Rewrites the checkpoint's weights; it has to have biases in its attention.
 * @param path its model.safetensors, float32 @param deviation of its random values
 */
export async function startCopying(path: string, sizes: HeadSizes, deviation: number): Promise<void> {
  const tensors = parseSafetensors(await readFile(path), path);
  const changed = new Map<string, HostTensor>();
  const matrix = (name: string): Matrix => {
    const tensor = changed.get(name) ?? tensors.get(name);
    if (tensor === undefined) throw new Error(`internal: ${path} has no ${name}`);
    const [rows = 0, columns = 1] = tensor.shape;
    const data = toFloat32(tensor).slice();
    changed.set(name, hostTensor("float32", tensor.shape, data));
    return { data, rows, columns };
  };
  const scale = (name: string, factor: number): void => {
    const { data } = matrix(name);
    data.forEach((value, i) => (data[i] = value * factor));
  };
  scale("model.embed_tokens.weight", EMBEDDING / deviation);
  scale("model.norm.weight", LAST_NORM);
  // What writes into the stream starts at 0 but for the circuit, so that no noise drowns what is compared.
  for (const name of tensors.keys()) if (/\.(o|down)_proj\.weight$/.test(name)) scale(name, 0);
  lookBack((part) => matrix(`model.layers.0.self_attn.${part}`), sizes);
  matchAndCopy((part) => matrix(`model.layers.1.self_attn.${part}`), sizes);
  const all = [...tensors].map(([name, { shape }]) => ({ name, shape, dtype: "float32" as const }));
  const load = async (name: string): Promise<HostTensor> => {
    const tensor = changed.get(name) ?? tensors.get(name);
    if (tensor === undefined) throw new Error(`internal: ${path} has no ${name}`);
    return tensor;
  };
  await writeSafetensors(path, all, load, { format: "pt" });
}

/** A matrix of one attention by the end of its name. */
type Part = (name: string) => Matrix;

/** The first coordinate that heads of layer 0 write to: what they bring does not mix with the token's own. */
const ownOf = ({ hidden, headDim }: HeadSizes): number => hidden - 2 * headDim;

/**
 * The first two heads of the last group look one and two tokens back. Their queries and keys are the same for all
 * tokens, so that the rotation alone tells places apart, and the query is turned back by as many places.
 */
function lookBack(part: Part, sizes: HeadSizes): void {
  const { headDim, heads, kvHeads, ropeTheta } = sizes;
  const group = kvHeads - 1;
  const half = headDim / 2;
  const [q, k, v, o] = [part("q_proj.weight"), part("k_proj.weight"), part("v_proj.weight"), part("o_proj.weight")];
  const [qBias, kBias] = [part("q_proj.bias").data, part("k_proj.bias").data];
  for (let i = 0; i < headDim; i++) {
    clearRow(k, group * headDim + i);
    setOnly(v, group * headDim + i, i, 1);
  }
  kBias.fill(NEAR, group * headDim, group * headDim + NUM_NEAR_PLANES);
  for (const offset of [1, 2]) {
    const start = ((group * heads) / kvHeads + offset - 1) * headDim;
    for (let i = 0; i < headDim; i++) {
      clearRow(q, start + i);
      o.data[(ownOf(sizes) + (offset - 1) * headDim + i) * o.columns + start + i] = WRITE;
    }
    for (let i = 0; i < NUM_NEAR_PLANES; i++) {
      const angle = offset * ropeTheta ** (-i / half);
      qBias[start + i] = NEAR * Math.cos(angle);
      qBias[start + half + i] = -NEAR * Math.sin(angle);
    }
  }
}

/**
 * Two heads of every group look for the places whose token before is the present one (in all groups but the first: and
 * whose one before that is the one before), and bring the token that stands there.
 */
function matchAndCopy(part: Part, sizes: HeadSizes): void {
  const { headDim, heads, kvHeads } = sizes;
  const own = ownOf(sizes);
  const [q, k, v, o] = [part("q_proj.weight"), part("k_proj.weight"), part("v_proj.weight"), part("o_proj.weight")];
  for (let group = 0; group < kvHeads; group++)
    for (let i = 0; i < headDim; i++) {
      // Only planes that turn slowly compare tokens at any distance: the upper half of each half of a head.
      const isSlow = i % (headDim / 2) >= headDim / 4;
      const isEarlier = group > 0 && i % 2 === 1;
      if (isSlow) setOnly(k, group * headDim + i, own + (isEarlier ? headDim : 0) + i, MATCH);
      else clearRow(k, group * headDim + i);
      setOnly(v, group * headDim + i, group * headDim + i, 1);
      for (const head of [0, 1]) {
        const row = ((group * heads) / kvHeads + head) * headDim + i;
        if (isSlow) setOnly(q, row, isEarlier ? own + i : i, MATCH);
        else clearRow(q, row);
        o.data[(group * headDim + i) * o.columns + row] = COPY;
      }
    }
}

function clearRow({ data, columns }: Matrix, row: number): void {
  data.fill(0, row * columns, (row + 1) * columns);
}

function setOnly(matrix: Matrix, row: number, column: number, value: number): void {
  clearRow(matrix, row);
  matrix.data[row * matrix.columns + column] = value;
}
