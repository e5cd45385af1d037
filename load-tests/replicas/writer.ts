/**
 * Uploads adapters one after the other through a router, and afterwards counts acknowledged uploads that are gone. The
 * replicas share a store, so every replica must have them.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { encodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import { openBase } from "../../src/base/base.ts";
import { randomAdapter } from "../inputs/random-adapter.ts";
import type { Figure } from "../report/figures.ts";
import { BASE_DIR } from "./replica.ts";

/** Names that are written in turn. */
const NUM_NAMES = 6;
const PAUSE_MS = 500;
/** A replica sees another one's upload within this time: `--store-refresh`, with a margin for a busy machine. */
const VISIBLE_MS = 30_000;

/** Generations that a name may have: the last one that was acknowledged, and later ones without an answer. */
type Possible = Set<string>;

/** Writes until `signal` is aborted. @returns a check of all that was acknowledged, for the time when all is calm */
export async function write(url: string, signal: AbortSignal): Promise<() => Promise<readonly Figure[]>> {
  await using base = await openBase(BASE_DIR);
  const possible = new Map<string, Possible>();
  let [numAcknowledged, numRefused] = [0, 0];
  for (let turn = 0; !signal.aborted; turn++) {
    const name = `written-${turn % NUM_NAMES}`;
    const bytes = Buffer.from(encodeAdapter(randomAdapter(base.manifest, turn + 1)));
    const generations = possible.get(name) ?? new Set();
    generations.add(generationOf(bytes));
    const status = await put(`${url}/v1/adapters/${name}`, bytes);
    if (status !== null && status < 300) {
      possible.set(name, new Set([generationOf(bytes)]));
      numAcknowledged += 1;
    } else {
      possible.set(name, generations); // it may have happened
      numRefused += 1;
    }
    await sleep(PAUSE_MS);
  }
  return async () => [
    { what: `uploads acknowledged; ${numRefused} without`, unit: "", samples: [numAcknowledged] },
    { what: "acknowledged uploads lost", unit: "", samples: [await numLost(url, possible)], goal: { atMost: 0 } },
  ];
}

/** @returns the status; null: the connection failed */
async function put(url: string, body: Buffer): Promise<number | null> {
  return await fetch(url, { method: "PUT", body: new Uint8Array(body) }).then(
    async (response) => (await response.arrayBuffer(), response.status),
    () => null,
  );
}

/** Names that do not have a content that they may have. */
async function numLost(url: string, possible: ReadonlyMap<string, Possible>): Promise<number> {
  const giveUpAt = performance.now() + VISIBLE_MS;
  const missing = new Set(possible.keys());
  while (missing.size > 0 && performance.now() < giveUpAt) {
    for (const name of missing) {
      const answer = await fetch(`${url}/v1/adapters/${name}/content`).catch(() => null);
      const bytes = answer && new Uint8Array(await answer.arrayBuffer());
      if (answer?.ok && bytes && possible.get(name)?.has(generationOf(bytes))) missing.delete(name);
    }
    await sleep(PAUSE_MS);
  }
  return missing.size;
}
