/**
 * `npm run history`: tenants ask, upload, replace, roll back and delete while keys change, the engine and the server
 * are killed, the disk fills up and is read-only. Then the history of all operations is checked, and every answer is
 * computed again from its receipt. See load-tests/history/check-history.ts for the law.
 */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { readManifest } from "../src/base/manifest.ts";
import { checkHistory } from "./history/check-history.ts";
import { Client } from "./history/client.ts";
import { Contents } from "./history/contents.ts";
import { Disk } from "./history/disk.ts";
import { disturb, disturbanceOf, DISTURBANCES } from "./history/disturbance.ts";
import { History } from "./history/history.ts";
import { HELP, historyOptions, type HistoryOptions } from "./history/options.ts";
import { OPERATION_KINDS, type Operation } from "./history/operation.ts";
import { withPlanted } from "./history/planted.ts";
import { Recorder } from "./history/recorder.ts";
import { replayAll } from "./history/replay.ts";
import { Victim } from "./history/victim.ts";
import { World } from "./history/world.ts";

const BASE_DIR = fileURLToPath(new URL("../../models/demo", import.meta.url));
/** Receipts that are replayed together. */
const REPLAY_EVERY = 5000;
/** Names that have an adapter at the beginning, in percent. */
const FILLED = 90;
/** Largest number of faults that are printed. */
const MAX_PRINTED = 20;

const note = (text: string): void => void process.stderr.write(`history: ${text}\n`);

interface Run {
  readonly options: HistoryOptions;
  readonly history: History;
  readonly contents: Contents;
  readonly world: World;
  readonly disturbed: Map<string, number>;
  readonly faults: string[];
  readonly errors: Map<string, number>;
  numReplayed: number;
  readonly startedMs: number;
}

const options = historyOptions(process.argv.slice(2));
if (options === null) process.stdout.write(HELP);
else process.exitCode = await main(options);

async function main(options: HistoryOptions): Promise<number> {
  mkdirSync(options.work, { recursive: true });
  const history = new History(options.work);
  const names = Math.ceil(options.adapters / options.tenants);
  const run: Run = {
    options,
    history,
    contents: new Contents(await readManifest(BASE_DIR)),
    world: new World({ tenants: options.tenants, names }, history.operations),
    disturbed: new Map(Object.entries(history.totals.disturbed)),
    faults: [],
    errors: new Map(),
    numReplayed: history.totals.replayed,
    startedMs: performance.now(),
  };
  const disk = options.disk === 0 ? null : Disk.mount(join(options.work, "data"), options.disk);
  if (disk === null) note("without a full or read-only disk: mounting is not permitted, or --disk is 0");
  await operate(run, disk);
  if (options.plant === null) await replayWaiting(run);
  if (run.faults.length === 0) check(run);
  report(run, disk !== null);
  if (run.faults.length === 0 && history.operations.length >= options.requests) {
    disk?.unmount();
    rmSync(join(options.work, "data"), { recursive: true, force: true });
    history.finish();
  }
  return run.faults.length === 0 ? 0 : 1;
}

function save({ history, disturbed, numReplayed }: Run): void {
  history.save({ disturbed: Object.fromEntries(disturbed), replayed: numReplayed });
}

function check({ history, faults }: Run): void {
  for (const { operation, reason } of checkHistory(history.operations))
    faults.push(`${operation.kind} ${operation.register} (${operation.start} to ${operation.end}): ${reason}`);
}

async function operate(run: Run, disk: Disk | null): Promise<void> {
  const { options, history, contents, errors, world } = run;
  const { tenants, clients: numClients, seed, work, plant } = options;
  const place = { baseDir: BASE_DIR, data: join(work, "data"), keys: join(work, "keys.json"), port: await freePort() };
  const victim = new Victim(place);
  victim.killOnSignals();
  victim.writeKeys(world.keysFile());
  await victim.start();
  const plain = (path: string, init: RequestInit) => fetch(`${victim.url}${path}`, init);
  const whenReady = () => victim.whenReady;
  const recorder = new Recorder({ send: withPlanted(plain, plant), whenReady, world, history, errors });
  const clients = Array.from(
    { length: numClients },
    (_, number) =>
      new Client({ recorder, world, contents }, { seed: seed + history.operations.length, number, numClients }),
  );
  try {
    if (history.operations.length === 0) {
      for (let tenant = 0; tenant < tenants; tenant++) history.add(firstKey(history, tenant));
      await Promise.all(clients.map((client) => client.fill(FILLED)));
    }
    await Promise.all(clients.map((client) => client.follow()));
    for (let round = 0; isToContinue(run, round); round++) {
      const kind = plant === null ? disturbanceOf(round) : null;
      await runRound(clients, options.round, async () => {
        await untilOperations(history, history.operations.length + options.round / 3);
        if (kind === null) return;
        const problem = await disturb(kind, round, { victim, send: plain, world, history, disk });
        if (problem !== null) run.faults.push(problem);
        run.disturbed.set(kind, (run.disturbed.get(kind) ?? 0) + 1);
      });
      save(run);
      if (history.waiting.length >= REPLAY_EVERY) await replayWaiting(run);
      if (round % 10 === 0) note(progress(run));
    }
  } finally {
    await victim.kill();
  }
}

function progress({ history, options, startedMs, numReplayed }: Run): string {
  const minutes = ((performance.now() - startedMs) / 60_000).toFixed(1);
  return `${history.operations.length} of ${options.requests} operations, ${numReplayed} replayed, ${minutes} min`;
}

/** A run that has anything left to do meets every disturbance once at least. A fault ends it. */
function isToContinue({ history, options, disturbed, faults, startedMs }: Run, round: number): boolean {
  if (faults.length > 0) return false;
  if (options.minutes > 0 && performance.now() - startedMs > options.minutes * 60_000) return false;
  if (history.operations.length < options.requests) return true;
  return round > 0 && options.plant === null && disturbed.size < DISTURBANCES.length;
}

/** The second key of a tenant, which is in the file from the beginning. */
function firstKey(history: History, tenant: number): Operation {
  const [start, end] = [history.tick(), history.tick()];
  return { kind: "change-key", register: `key/t${tenant}`, start, end, outcome: "done", value: "active" };
}

async function runRound(clients: readonly Client[], size: number, disturbance: () => Promise<void>): Promise<void> {
  let isDisturbed = false;
  const steps = clients.map(async (client) => {
    // Further steps for as long as the disturbance lasts: its end must be met too.
    for (let i = 0; i < size / clients.length || !isDisturbed; i++) await client.step();
  });
  const disturbed = disturbance().finally(() => (isDisturbed = true));
  await Promise.all([...steps, disturbed]);
}

async function untilOperations({ operations }: History, number: number): Promise<void> {
  while (operations.length < number) await sleep(2);
}

async function replayWaiting(run: Run): Promise<void> {
  const { history, contents, world } = run;
  const receipts = history.waiting;
  run.faults.push(...(await replayAll(receipts, BASE_DIR, contents, (generation) => world.numberOf(generation))));
  run.numReplayed += receipts.length;
  save(run);
  history.forgetReceipts();
  if (run.options.plant === null && run.faults.length === 0) check(run);
}

function report({ history, faults, errors, disturbed, numReplayed, startedMs }: Run, hasDisk: boolean): void {
  const rows: [string, string | number][] = [["operations", history.operations.length]];
  for (const kind of OPERATION_KINDS) {
    const all = history.operations.filter((one) => one.kind === kind);
    const done = all.filter(({ outcome }) => outcome === "done").length;
    rows.push([kind, `${all.length}, of which ${done} acknowledged`]);
  }
  for (const [kind, times] of disturbed)
    rows.push([kind, `${times} times${isSkipped(kind, hasDisk) ? ", left out" : ""}`]);
  for (const [code, times] of errors) rows.push([`error ${code}`, times]);
  const minutes = ((performance.now() - startedMs) / 60_000).toFixed(1);
  rows.push(["answers replayed", numReplayed], ["minutes of this run", minutes], ["faults", faults.length]);
  const width = Math.max(...rows.map(([name]) => name.length));
  process.stdout.write(rows.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join(""));
  for (const fault of faults.slice(0, MAX_PRINTED)) process.stdout.write(`FAULT ${fault}\n`);
}

function isSkipped(kind: string, hasDisk: boolean): boolean {
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
