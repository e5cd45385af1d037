/**
 * `npm run history`: tenants ask, upload, replace, roll back and delete while keys change, the engine and the server
 * are killed, the disk fills up and is read-only. Then the history of all operations is checked, and every answer is
 * computed again from its receipt. See load-tests/history/check-history.ts for the law.
 */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { readManifest } from "../src/base/manifest.ts";
import { checkHistory } from "./history/check-history.ts";
import { Client } from "./history/client.ts";
import { Contents } from "./history/contents.ts";
import { Disk } from "./history/disk.ts";
import { disturb, DISTURBANCES, type DisturbanceKind } from "./history/disturbance.ts";
import { History } from "./history/history.ts";
import { HELP, historyOptions, type HistoryOptions } from "./history/options.ts";
import type { Operation } from "./history/operation.ts";
import { withPlanted } from "./history/planted.ts";
import { replayAll } from "./history/replay.ts";
import { Victim } from "./history/victim.ts";
import { World } from "./history/world.ts";

const BASE_DIR = fileURLToPath(new URL("../../models/demo", import.meta.url));
/** Operations of one round, which one disturbance meets. */
const PER_ROUND = 160;
/** Receipts that are replayed together. */
const REPLAY_EVERY = 4000;
/** Largest number of faults that are printed. */
const MAX_PRINTED = 20;

const note = (text: string): void => void process.stderr.write(`history: ${text}\n`);

interface Run {
  readonly options: HistoryOptions;
  readonly history: History;
  readonly contents: Contents;
  readonly numberOf: ReadonlyMap<string, number>;
  readonly disturbed: Map<DisturbanceKind, number>;
  readonly faults: string[];
  readonly errors: Map<string, number>;
  numReplayed: number;
}

const options = historyOptions(process.argv.slice(2));
if (options === null) process.stdout.write(HELP);
else process.exitCode = await main(options);

async function main(options: HistoryOptions): Promise<number> {
  mkdirSync(options.work, { recursive: true });
  const history = new History(options.work);
  const contents = new Contents(await readManifest(BASE_DIR));
  const numbers = history.operations.flatMap(({ value, content }) =>
    value === null || content === undefined ? [] : [[value, content] as const],
  );
  const run: Run = {
    options,
    history,
    contents,
    numberOf: new Map(numbers),
    disturbed: new Map(),
    faults: [],
    errors: new Map(),
    numReplayed: 0,
  };
  const disk = options.disk === 0 ? null : Disk.mount(join(options.work, "data"), options.disk);
  if (disk === null) note("without a full or read-only disk: mounting is not permitted, or --disk is 0");
  await operate(run, disk);
  if (options.plant === null) await replayWaiting(run);
  disk?.unmount();
  for (const { operation, reason } of checkHistory(history.operations))
    run.faults.push(`${operation.kind} ${operation.register} (${operation.start} to ${operation.end}): ${reason}`);
  report(run, disk !== null);
  return run.faults.length === 0 ? 0 : 1;
}

async function operate(run: Run, disk: Disk | null): Promise<void> {
  const { options, history, contents, errors } = run;
  const { tenants, clients: numClients, seed, work } = options;
  const world = new World({ tenants, names: Math.ceil(options.adapters / tenants) }, history.operations);
  const place = { baseDir: BASE_DIR, data: join(work, "data"), keys: join(work, "keys.json"), port: await freePort() };
  const victim = new Victim(place);
  victim.writeKeys(world.keysFile());
  await victim.start();
  const plain = (path: string, init: RequestInit) => fetch(`${victim.url}${path}`, init);
  const whenReady = () => victim.whenReady;
  const parts = { send: withPlanted(plain, options.plant), whenReady, world, history, contents, errors };
  const clients = Array.from(
    { length: numClients },
    (_, number) => new Client(parts, { seed: seed + history.operations.length, number, numClients }),
  );
  try {
    if (history.operations.length === 0) {
      for (let tenant = 0; tenant < tenants; tenant++) history.add(firstKey(history, tenant));
      await Promise.all(clients.map((client) => client.fill(70)));
    }
    for (let round = 0; isToContinue(run, round); round++) {
      const kind = options.plant === null ? (DISTURBANCES[round % DISTURBANCES.length] ?? null) : null;
      await runRound(clients, async () => {
        await untilOperations(history, history.operations.length + PER_ROUND / 3);
        if (kind === null) return;
        const problem = await disturb(kind, round, { victim, send: plain, world, history, disk });
        if (problem !== null) run.faults.push(problem);
        run.disturbed.set(kind, (run.disturbed.get(kind) ?? 0) + 1);
      });
      history.save();
      if (history.waiting.length >= REPLAY_EVERY) await replayWaiting(run);
      if (round % 10 === 0) note(`${history.operations.length} of ${options.requests} operations`);
    }
  } finally {
    await victim.kill();
  }
}

/** A run that has anything left to do meets every disturbance once at least. */
function isToContinue({ history, options, disturbed }: Run, round: number): boolean {
  if (history.operations.length < options.requests) return true;
  return round > 0 && options.plant === null && disturbed.size < DISTURBANCES.length;
}

/** The second key of a tenant, which is in the file from the beginning. */
function firstKey(history: History, tenant: number): Operation {
  const [start, end] = [history.tick(), history.tick()];
  return { kind: "change-key", register: `key/t${tenant}`, start, end, outcome: "done", value: "active" };
}

async function runRound(clients: readonly Client[], disturbance: () => Promise<void>): Promise<void> {
  let isDisturbed = false;
  const steps = clients.map(async (client) => {
    // Further steps for as long as the disturbance lasts: its end must be met too.
    for (let i = 0; i < PER_ROUND / clients.length || !isDisturbed; i++) await client.step();
  });
  const disturbed = disturbance().finally(() => (isDisturbed = true));
  await Promise.all([...steps, disturbed]);
}

async function untilOperations({ operations }: History, number: number): Promise<void> {
  while (operations.length < number) await sleep(2);
}

async function replayWaiting(run: Run): Promise<void> {
  const { history, contents } = run;
  const receipts = history.waiting;
  for (const { value, content } of history.operations)
    if (value !== null && content !== undefined) (run.numberOf as Map<string, number>).set(value, content);
  run.faults.push(...(await replayAll(receipts, BASE_DIR, contents, run.numberOf)));
  run.numReplayed += receipts.length;
  history.save();
  history.forgetReceipts();
}

function report({ history, faults, errors, disturbed, numReplayed }: Run, hasDisk: boolean): void {
  const rows: [string, string | number][] = [["operations", history.operations.length]];
  for (const kind of ["put", "delete", "ask", "read", "use-key", "change-key"] as const) {
    const all = history.operations.filter((one) => one.kind === kind);
    const done = all.filter(({ outcome }) => outcome === "done").length;
    rows.push([kind, `${all.length}, of which ${done} acknowledged`]);
  }
  for (const [kind, times] of disturbed)
    rows.push([kind, `${times} times${isSkipped(kind, hasDisk) ? ", left out" : ""}`]);
  for (const [code, times] of errors) rows.push([`error ${code}`, times]);
  rows.push(["answers replayed", numReplayed], ["faults", faults.length]);
  const width = Math.max(...rows.map(([name]) => name.length));
  process.stdout.write(rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join(""));
  for (const fault of faults.slice(0, MAX_PRINTED)) process.stdout.write(`FAULT ${fault}\n`);
}

function isSkipped(kind: DisturbanceKind, hasDisk: boolean): boolean {
  return !hasDisk && (kind === "disk-full" || kind === "read-only");
}

/** Below the ports of outgoing connections, which could take it while the server is down. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
