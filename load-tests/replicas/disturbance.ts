/** Kills one replica after the other, and once restarts all of them in turn as an upgrade does. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Fleet } from "./fleet.ts";

/** The share of the time before the roll begins. */
const ROLL_AT = 1 / 3;

export interface Disturbed {
  readonly numKilled: number;
  readonly numRolled: number;
}

type Victims = Pick<Fleet, "numReady" | "kill" | "roll" | "settle">;

/**
 * Runs until `seconds` have passed. A killed replica starts again at once. The roll begins after a third of the time,
 * and kills go on meanwhile. The last ready replica is never killed: nobody could answer then.
 */
export async function disturb(
  fleet: Victims,
  { seconds, killEvery }: { seconds: number; killEvery: number },
): Promise<Disturbed> {
  const endsAt = performance.now() + seconds * 1000;
  const rollLater = async (): Promise<number> => {
    await sleep(seconds * ROLL_AT * 1000);
    return await fleet.roll();
  };
  const [numKilled, numRolled] = await Promise.all([killInTurn(fleet, killEvery, endsAt), rollLater()]);
  return { numKilled, numRolled };
}

async function killInTurn(fleet: Victims, killEvery: number, endsAt: number): Promise<number> {
  let numKilled = 0;
  while (performance.now() + killEvery * 1000 < endsAt) {
    await sleep(killEvery * 1000);
    while (fleet.numReady() < 2) await sleep(100);
    await fleet.kill(numKilled);
    numKilled += 1;
  }
  await fleet.settle();
  return numKilled;
}
