/** What happens to the server in the middle of a round. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Disk } from "./disk.ts";
import type { History } from "./history.ts";
import type { Victim } from "./victim.ts";
import { guestKey, type World } from "./world.ts";

export const DISTURBANCES = ["server", "key", "disk-full", "engine", "read-only"] as const;
export type DisturbanceKind = (typeof DISTURBANCES)[number];

/** Each kind once, then mostly kills: nine of twelve rounds. */
const CYCLE: readonly DisturbanceKind[] = [
  ...DISTURBANCES,
  ...(["engine", "server", "engine", "server", "engine", "server", "engine"] as const),
];

export const disturbanceOf = (round: number): DisturbanceKind => CYCLE[round % CYCLE.length] ?? "server";

/** Maximum time that a full disk lasts. The store uses its free pages first. */
const FULL_MS = 10_000;

export interface DisturbanceParts {
  readonly victim: Victim;
  readonly world: World;
  readonly history: History;
  /** null: mounting is not permitted. */
  readonly disk: Disk | null;
}

/** @returns what went wrong; null: nothing. @param number of the round */
export async function disturb(kind: DisturbanceKind, number: number, parts: DisturbanceParts): Promise<string | null> {
  const { victim, history, disk } = parts;
  switch (kind) {
    case "engine":
      await victim.killEngine();
      return null;
    case "server":
      await victim.kill();
      await victim.start();
      return null;
    case "key":
      await changeKey(number, parts);
      return null;
    case "disk-full":
      disk?.fill();
      if (disk) await untilWriteFailed(history);
      disk?.empty();
      return null;
    case "read-only":
      await victim.kill();
      return await startReadOnly(parts);
  }
}

/** Waits until a write has met the full disk. */
async function untilWriteFailed(history: History): Promise<void> {
  const numBefore = history.numFailedWrites;
  const giveUpAt = performance.now() + FULL_MS;
  while (history.numFailedWrites === numBefore && performance.now() < giveUpAt) await sleep(20);
}

/** A store that cannot be written is refused at the start, and is as it was afterwards. */
async function startReadOnly({ victim, disk }: DisturbanceParts): Promise<string | null> {
  let problem: string | null = null;
  if (disk?.setReadOnly(true) === true) {
    problem = await victim.start().then(
      () => "the server started on a read-only file system",
      ({ message }: Error) => (/^mosara: .*\S/.test(message) ? null : `no sentence about the file system: ${message}`),
    );
    await victim.kill();
    disk.setReadOnly(false);
  }
  await victim.start();
  return problem;
}

/** Takes a tenant's second key away or gives it back. Acknowledged when the server is seen to know. */
async function changeKey(number: number, { victim, world, history }: DisturbanceParts): Promise<void> {
  const tenant = number % world.size.tenants;
  const isActive = !world.hasGuest(tenant);
  const start = history.tick();
  const written = { kind: "change-key", register: `key/t${tenant}`, value: isActive ? "active" : "revoked" } as const;
  history.begin({ ...written, start });
  world.setGuest(tenant, isActive);
  victim.writeKeys(world.keysFile());
  while (victim.problem === null) {
    const { status } = await victim.send("/v1/models?limit=1", { key: guestKey(tenant) }).catch(() => ({ status: 0 }));
    if (status === (isActive ? 200 : 401)) break;
    await sleep(10);
  }
  history.add({ ...written, start, end: history.tick(), outcome: "done" });
}
