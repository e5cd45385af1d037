/**
 * How fast a setting serves: 16 rows with the adapter against 16 rows of the bare base, in turns, through two engine
 * processes of which one works at a time.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { generationOf } from "../../src/adapter/adapter-file.ts";
import { EngineClient } from "../../src/engine/server/engine-client.ts";
import { EngineProcesses } from "../../src/engine/server/engine-processes.ts";
import { PLAIN_REQUEST, type SequenceRequest } from "../../src/engine/engine.ts";
import type { EngineOptions } from "../../src/engine/protocol.ts";
import { openAdapterStore } from "../../src/store/adapter-store.ts";

const NUM_ROWS = 16;
const NUM_TOKENS = 96;
const NUM_ROUNDS = 7;

type AdapterOf = SequenceRequest["adapter"];

/** @returns tokens/s with the adapter ÷ tokens/s of the bare base, one a round */
export async function servingSpeed(
  bareDir: string,
  baseDir: string,
  adapterFile: string,
  work: string,
): Promise<readonly number[]> {
  const inlineBytes = readFileSync(adapterFile);
  const adapter = { generation: generationOf(inlineBytes), inlineBytes };
  const storeDir = join(work, "store");
  await (await openAdapterStore(storeDir)).close(); // an empty one, which an engine can open
  const bare = await startEngine(bareDir, storeDir);
  try {
    const adapted = await startEngine(baseDir, storeDir);
    try {
      return await measureInTurns(
        () => decodeSeconds(bare, null),
        () => decodeSeconds(adapted, adapter),
      );
    } finally {
      await adapted.stop(10_000);
    }
  } finally {
    await bare.stop(10_000);
  }
}

/** A B, B A, A B, …: what slows the machine for a while slows both. @returns A ÷ B of every round but the first */
async function measureInTurns(a: () => Promise<number>, b: () => Promise<number>): Promise<readonly number[]> {
  const ratios: number[] = [];
  for (let round = 0; round <= NUM_ROUNDS; round++) {
    const bFirst = round % 2 === 1 ? await b() : null;
    const secondsOfA = await a();
    const secondsOfB = bFirst ?? (await b());
    if (round > 0) ratios.push(secondsOfA / secondsOfB);
  }
  return ratios;
}

async function decodeSeconds(engine: EngineClient, adapter: AdapterOf): Promise<number> {
  const start = performance.now();
  await Promise.all(Array.from({ length: NUM_ROWS }, (_, row) => complete(engine, row, adapter)));
  return (performance.now() - start) / 1000;
}

let nextId = 0;
async function complete(engine: EngineClient, row: number, adapter: AdapterOf): Promise<void> {
  const promptIds = Int32Array.from({ length: 32 }, (_, i) => 300 + row + i);
  const stream = engine.submit(nextId++, { ...PLAIN, promptIds, adapter });
  for await (const event of stream) if (event.type === "finished") return;
}

const PLAIN = { ...PLAIN_REQUEST, tenant: "study", maxTokens: NUM_TOKENS };

async function startEngine(baseDir: string, storeDir: string): Promise<EngineClient> {
  return await new Promise((resolve, reject) => {
    const child = new EngineProcesses().next();
    const client: EngineClient = new EngineClient(child, engineOptions(baseDir, storeDir), (event) => {
      if (event.type === "ready") resolve(client);
      else if (event.type === "exited") reject(event.error);
    });
  });
}

function engineOptions(baseDir: string, storeDir: string): EngineOptions {
  return {
    baseDir,
    storeDir,
    device: "cpu",
    numThreads: 2,
    maxNumSeqs: NUM_ROWS,
    maxModelLen: 256,
    kvCacheBytes: 2 ** 28,
    adapterCacheBytes: 2 ** 26,
    maxLiveRank: 64,
    maxQueue: 64,
    maxQueueTokens: 2 ** 16,
    usesPrefixCache: false,
    maxDraft: 0,
    requiresBatchInvariance: true,
    takesAdapters: true,
  };
}
