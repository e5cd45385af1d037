/** Kills one replica after the other, and once restarts all of them in turn as an upgrade does. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Replica } from "./replica.ts";

/** Kills before the first one is restarted by the roll. */
const ROLL_AT = 1 / 3;

export interface Disturbed {
  numKilled: number;
  numRolled: number;
}

/**
 * Runs until `seconds` have passed. A killed replica starts again at once. The roll begins after a third of the time.
 * It stops a replica when all are ready, and kills go on meanwhile. The last ready replica is never killed: nobody could
 * answer then.
 */
export async function disturb(
  replicas: readonly Replica[],
  { seconds, killEvery }: { seconds: number; killEvery: number },
): Promise<Disturbed> {
  const counts: Disturbed = { numKilled: 0, numRolled: 0 };
  const endsAt = performance.now() + seconds * 1000;
  await Promise.all([killInTurn(replicas, killEvery, endsAt, counts), roll(replicas, seconds, counts)]);
  return counts;
}

async function killInTurn(
  replicas: readonly Replica[],
  killEvery: number,
  endsAt: number,
  counts: Disturbed,
): Promise<void> {
  const starts: Promise<void>[] = [];
  for (let turn = 0; ; turn++) {
    if (performance.now() + killEvery * 1000 >= endsAt) break;
    await sleep(killEvery * 1000);
    while (numReady(replicas) < 2) await sleep(50);
    const victim = [0, 1, 2].map((step) => replicas[(turn + step) % replicas.length]).find((one) => one?.isReady);
    if (!victim) continue;
    await victim.kill();
    counts.numKilled += 1;
    starts.push(victim.start());
  }
  await Promise.all(starts);
}

const numReady = (replicas: readonly Replica[]): number => replicas.filter(({ isReady }) => isReady).length;

async function roll(replicas: readonly Replica[], seconds: number, counts: Disturbed): Promise<void> {
  await sleep(seconds * ROLL_AT * 1000);
  for (const replica of replicas) {
    while (!replicas.every(({ isReady }) => isReady)) await sleep(50);
    await replica.stop();
    await replica.start();
    counts.numRolled += 1;
  }
}
