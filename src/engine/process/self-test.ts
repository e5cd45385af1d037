/**
 * Self-test of isolation on this machine, with the real graph: a sequence's results must be bit-identical alone and
 * beside others. Kernels choose their path by the number of rows and the place of a row, and may choose differently on
 * another CPU.
 */
import type { ModelRunner, ReadyAdapter } from "../contracts.ts";

/** Batch sizes at which kernels were measured to change, within the engine's own limit. */
const BATCH_SIZES = [1, 2, 3, 5, 8, 16, 17];
const PROMPT_TOKENS = 5;

interface Probe {
  readonly id: number;
  /**
   * Whether this row is the sequence under test. Every second row is. The rows between are neighbours, all different.
   */
  readonly isSame: boolean;
}

/**
 * Whether one sequence gets the same logits alone and at any place in batches of every size tried. Leaves no row in
 * use.
 * @param adapter the adapter of the sequence under test; its neighbours have none
 */
export async function isBatchInvariant(
  runner: ModelRunner,
  maxNumSeqs: number,
  adapter: ReadyAdapter | null = null,
): Promise<boolean> {
  const probes: Probe[] = [];
  try {
    let alone: Float32Array | null = null;
    for (const size of BATCH_SIZES.filter((one) => one <= maxNumSeqs)) {
      while (probes.length < size && runner.kv.canAdmit(PROMPT_TOKENS + 1))
        probes.push(await admitProbe(runner, probes.length, adapter));
      if (probes.length < size) break;
      const logits = await decodeProbes(runner, probes, adapter);
      alone ??= logits[0] ?? null;
      if (probes.some(({ isSame }, row) => isSame && !hasSameBits(logits[row], alone))) return false;
    }
    return true;
  } finally {
    for (const { id } of probes) runner.kv.release(id);
  }
}

async function admitProbe(runner: ModelRunner, index: number, adapter: ReadyAdapter | null): Promise<Probe> {
  // Negative ids: no sequence of the server has one.
  const probe = { id: -1 - index, isSame: index % 2 === 0 };
  runner.kv.admit(probe.id, PROMPT_TOKENS + 1);
  const tokenIds = Int32Array.from({ length: PROMPT_TOKENS }, (_, i) => tokenOf(probe, i, runner));
  const own = probe.isSame ? adapter : null;
  await runner.prefill({ id: probe.id, past: 0, tokenIds, adapter: own, logitPositions: [] });
  runner.kv.startDecoding(probe.id);
  return probe;
}

/** Runs one decode step of all sequences. Returns their logits in row order. */
async function decodeProbes(
  runner: ModelRunner,
  probes: readonly Probe[],
  adapter: ReadyAdapter | null,
): Promise<readonly Float32Array[]> {
  const rows = probes.map((probe) => ({
    id: probe.id,
    tokenId: tokenOf(probe, PROMPT_TOKENS, runner),
    past: PROMPT_TOKENS,
    adapter: probe.isSame ? adapter : null,
  }));
  const logits = await (await runner.decode(rows)).all();
  return rows.map((_, row) => logits.slice(row * runner.vocabSize, (row + 1) * runner.vocabSize));
}

function tokenOf({ id, isSame }: Probe, position: number, runner: ModelRunner): number {
  return (position * 31 + (isSame ? 17 : -id * 17)) % runner.vocabSize;
}

function hasSameBits(a: Float32Array | undefined, b: Float32Array | null): boolean {
  return a !== undefined && b !== null && a.every((value, i) => Object.is(value, b[i]));
}
