/**
 * Self-test of isolation on this machine, with the real graph: a sequence's results must be bit-identical alone and
 * beside others. Kernels choose their path by the number of rows and the place of a row, and may choose differently on
 * another CPU.
 */
import type { KvRows, ModelRunner, ReadyAdapter } from "../contracts.ts";
import type { KvChunk } from "../kv/kv-cache.ts";
import type { ChunkRows } from "../kv/prefix-cache.ts";

/** Batch sizes at which kernels were measured to change, within the engine's own limit. */
const BATCH_SIZES = [1, 2, 3, 5, 8, 16, 17];
/** Tried even where the engine has fewer rows: a receipt may be replayed by an engine that has more. */
const MIN_ROWS = 3;
const PROMPT_TOKENS = 5;
/**
 * Logits of a sequence that are compared at each size. Kernels may differ in a few numbers only: with AVX-512 VNNI,
 * 3,072 were too few to see that int8 gives a single row other bits, and 6,144 were enough. So a model with a small
 * vocabulary takes several steps.
 */
const MIN_LOGITS = 8192;

/** A runner whose rows can be copied. */
type Runner = ModelRunner & { readonly kv: KvRows & Pick<ChunkRows, "reach" | "copyOut" | "copyIn"> };

interface Probe {
  readonly id: number;
  /** Whether this row is the sequence under test. Three of four rows are, the others are its neighbours. */
  readonly isSame: boolean;
}

/**
 * Whether one sequence gets the same logits alone and at any place in batches of every size tried. Leaves no row in
 * use.
 * @param adapter the adapter of the sequence under test; its neighbours have none
 */
export async function isBatchInvariant(
  runner: Runner,
  maxNumSeqs: number,
  adapter: ReadyAdapter | null = null,
): Promise<boolean> {
  const sizes = BATCH_SIZES.filter((one) => one <= Math.max(maxNumSeqs, MIN_ROWS));
  const rows = new ProbeRows(runner, sizes.at(-1) ?? 0, adapter);
  try {
    const alone: (Float32Array | undefined)[] = [];
    for (const size of sizes) {
      if (!(await rows.growTo(size))) break;
      for (let step = 0; step * runner.vocabSize < MIN_LOGITS; step++) {
        const logits = await decodeProbes(runner, rows.probes, { step, adapter });
        alone[step] ??= logits[0];
        if (rows.probes.some(({ isSame }, row) => isSame && !hasSameBits(logits[row], alone[step]))) return false;
      }
    }
    return true;
  } finally {
    rows.release();
  }
}

/**
 * The rows of the self-test. A prompt is prefilled in the first row of its kind, and copied into the others, because a
 * prefill takes as long as a step. The sequence under test is prefilled again in the last rows, at another place in
 * memory.
 */
class ProbeRows {
  readonly #runner: Runner;
  readonly #maxRows: number;
  readonly #adapter: ReadyAdapter | null;
  readonly #probes: Probe[] = [];
  readonly #prompts = new Map<boolean, KvChunk>();

  constructor(runner: Runner, maxRows: number, adapter: ReadyAdapter | null) {
    this.#runner = runner;
    this.#maxRows = maxRows;
    this.#adapter = adapter;
  }

  get probes(): readonly Probe[] {
    return this.#probes;
  }

  /** @returns false where the cache has too little memory */
  async growTo(numRows: number): Promise<boolean> {
    while (this.#probes.length < numRows && this.#runner.kv.canAdmit(PROMPT_TOKENS + 1)) await this.#addRow();
    return this.#probes.length === numRows;
  }

  release(): void {
    for (const { id } of this.#probes) this.#runner.kv.release(id);
    for (const prompt of this.#prompts.values()) prompt.free();
  }

  async #addRow(): Promise<void> {
    const { kv } = this.#runner;
    const index = this.#probes.length;
    // Negative ids: no sequence of the server has one.
    const probe = { id: -1 - index, isSame: index % 4 !== 1 };
    kv.admit(probe.id, PROMPT_TOKENS + 1);
    this.#probes.push(probe);
    const prompt = this.#prompts.get(probe.isSame);
    if (prompt && (!probe.isSame || index < this.#maxRows - 2)) {
      kv.reach(probe.id, PROMPT_TOKENS);
      await kv.copyIn(probe.id, 0, prompt);
    } else await this.#prefill(probe);
    kv.startDecoding(probe.id);
  }

  async #prefill(probe: Probe): Promise<void> {
    const { id, isSame } = probe;
    const tokenIds = Int32Array.from({ length: PROMPT_TOKENS }, (_, i) => tokenOf(probe, i, this.#runner));
    const adapter = isSame ? this.#adapter : null;
    await this.#runner.prefill({ id, past: 0, tokenIds, adapter, logitPositions: [] });
    if (!this.#prompts.has(isSame)) this.#prompts.set(isSame, await this.#runner.kv.copyOut(id, 0, PROMPT_TOKENS));
  }
}

/**
 * Runs one decode step of all sequences, always at the same position. The number of the step decides their tokens.
 * Returns their logits in row order.
 */
async function decodeProbes(
  runner: ModelRunner,
  probes: readonly Probe[],
  { step, adapter }: { readonly step: number; readonly adapter: ReadyAdapter | null },
): Promise<readonly Float32Array[]> {
  const rows = probes.map((probe) => ({
    id: probe.id,
    tokenId: tokenOf(probe, PROMPT_TOKENS + step, runner),
    past: PROMPT_TOKENS,
    adapter: probe.isSame ? adapter : null,
  }));
  const logits = await (await runner.decode(rows)).all();
  return rows.map((_, row) => logits.slice(row * runner.vocabSize, (row + 1) * runner.vocabSize));
}

function tokenOf({ id, isSame }: Probe, position: number, runner: ModelRunner): number {
  return (position * 31 + (isSame ? 17 : -id * 17)) % runner.vocabSize;
}

function hasSameBits(a: Float32Array | undefined, b: Float32Array | undefined): boolean {
  return a !== undefined && b !== undefined && a.every((value, i) => Object.is(value, b[i]));
}
