/**
 * `npm run history`: tenants ask, upload, replace, roll back and delete while keys change, the engine and the server
 * are killed, the disk fills up and is read-only. The history of all operations is checked in the pauses, and every
 * answer is computed again from its receipt. See load-tests/history/check-history.ts for the law.
 */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { AppError } from "../src/errors.ts";
import { readManifest } from "../src/base/manifest.ts";
import { BackgroundReplay } from "./history/background-replay.ts";
import { HistoryChecker } from "./history/check-history.ts";
import { Client } from "./history/client.ts";
import { Contents } from "./history/contents.ts";
import { Disk } from "./history/disk.ts";
import { disturb, disturbanceOf, DISTURBANCES } from "./history/disturbance.ts";
import { History } from "./history/history.ts";
import { HELP, historyOptions, type HistoryOptions } from "./history/options.ts";
import type { Operation } from "./history/operation.ts";
import { withPlanted } from "./history/planted.ts";
import { Receipts } from "./history/receipts.ts";
import { Recorder } from "./history/recorder.ts";
import { replayFile } from "./history/replay.ts";
import { reportOf } from "./history/report.ts";
import { Victim } from "./history/victim.ts";
import { World } from "./history/world.ts";

const BASE_DIR = fileURLToPath(new URL("../../models/demo", import.meta.url));
/** Receipts that one process replays. Each file names an adapter of its own at most, and all of them are arguments. */
const RECEIPTS_PER_FILE = 20_000;
/** Names that have an adapter at the beginning, in percent. */
const FILLED = 90;

const note = (text: string): void => void process.stderr.write(`history: ${text}\n`);

interface Run {
  readonly options: HistoryOptions;
  readonly history: History;
  readonly receipts: Receipts;
  readonly checker: HistoryChecker;
  readonly contents: Contents;
  readonly world: World;
  readonly disturbed: Map<string, number>;
  readonly faults: string[];
  readonly errors: Map<string, number>;
  numReplayed: number;
  readonly startedMs: number;
  /** Of the earlier runs. */
  readonly earlierMinutes: number;
}

const options = historyOptions(process.argv.slice(2));
if (options === null) process.stdout.write(HELP);
else process.exitCode = await main(options);

async function main(options: HistoryOptions): Promise<number> {
  mkdirSync(options.work, { recursive: true });
  const run = await openRun(options);
  const { history, receipts, faults } = run;
  const data = join(options.work, "data");
  const disk = options.disk === 0 ? null : Disk.mount(data, options.disk * 1024);
  if (disk === null) note("without a full or read-only disk: mounting is not permitted, or --disk is 0");
  assertStoreIsThere(history, data);
  const replay = new BackgroundReplay({
    receipts,
    replay: (file) =>
      replayFile(file, { baseDir: BASE_DIR, contents: run.contents, numberOf: (one) => run.world.numberOf(one) }),
    onReplayed: (replayed) => {
      run.numReplayed += replayed.numReceipts;
      faults.push(...replayed.faults);
    },
  });
  await operate(run, disk, replay);
  if (options.plant === null && faults.length === 0) await replay.finish();
  save(run);
  process.stdout.write(reportOf(history, faults, disk !== null));
  if (faults.length === 0 && history.numOperations >= options.requests) {
    disk?.[Symbol.dispose]();
    for (const dir of [data, receipts.dir]) rmSync(dir, { recursive: true, force: true });
    history.finish();
  }
  return faults.length === 0 ? 0 : 1;
}

async function openRun(options: HistoryOptions): Promise<Run> {
  const names = Math.ceil(options.adapters / options.tenants);
  const world = new World({ tenants: options.tenants, names });
  const checker = new HistoryChecker();
  const history = new History(options.work, [world, checker]);
  const { disturbed, errors, replayed, minutes } = history.totals;
  return {
    options,
    history,
    receipts: new Receipts(options.work, RECEIPTS_PER_FILE),
    checker,
    contents: new Contents(await readManifest(BASE_DIR)),
    world,
    disturbed: new Map(Object.entries(disturbed)),
    faults: [],
    errors: new Map(Object.entries(errors)),
    numReplayed: replayed,
    startedMs: performance.now(),
    earlierMinutes: minutes,
  };
}

/** @throws {AppError} where the store of an earlier run has gone, which would look like lost writes */
function assertStoreIsThere({ numOperations }: History, data: string): void {
  if (numOperations === 0 || existsSync(join(data, "data.mdb"))) return;
  throw new AppError(
    "usage",
    `${data} has no store, but the history has ${numOperations} operations on it. A store in memory is lost when the machine restarts. Begin anew with another --work.`,
  );
}

/** Of this run alone. */
function minutesOf({ startedMs }: Run): number {
  return (performance.now() - startedMs) / 60_000;
}

/** Checks and writes what is new. Called when no operation runs. */
function save(run: Run): void {
  const { history, receipts, checker, faults, disturbed, errors, numReplayed } = run;
  for (const { operation, reason } of checker.check())
    faults.push(`${operation.kind} ${operation.register} (${operation.start} to ${operation.end}): ${reason}`);
  receipts.save();
  history.save({
    disturbed: Object.fromEntries(disturbed),
    errors: Object.fromEntries(errors),
    replayed: numReplayed,
    minutes: run.earlierMinutes + minutesOf(run),
  });
  receipts.removeReplayed();
}

async function operate(run: Run, disk: Disk | null, replay: BackgroundReplay): Promise<void> {
  const { options, history, contents, world } = run;
  const { clients: numClients, seed, work, plant } = options;
  const place = { baseDir: BASE_DIR, data: join(work, "data"), keys: join(work, "keys.json"), port: await freePort() };
  const victim = new Victim(place);
  victim.writeKeys(world.keysFile());
  await victim.start();
  const recorder = new Recorder({
    ...run,
    send: withPlanted((path, sent) => victim.send(path, sent), plant),
    whenReady: () => victim.whenReady(),
  });
  const clients = Array.from(
    { length: numClients },
    (_, number) =>
      new Client({ recorder, world, contents }, { seed: seed + history.numOperations, number, numClients }),
  );
  try {
    if (history.numOperations === 0) {
      for (let tenant = 0; tenant < options.tenants; tenant++) history.add(firstKey(history, tenant));
      await Promise.all(clients.map((client) => client.fill(FILLED)));
    }
    await Promise.all(clients.map((client) => client.follow()));
    for (let round = 0; isToContinue(run, round); round++) {
      await runRound(clients, options.round, () => disturbOnce(run, round, victim, disk));
      save(run);
      if (victim.problem !== null) run.faults.push(victim.problem);
      if (plant === null) replay.begin();
      if (round % 10 === 0) note(progress(run));
    }
  } finally {
    await victim.kill();
  }
}

/** After a third of the round's operations. */
async function disturbOnce(run: Run, round: number, victim: Victim, disk: Disk | null): Promise<void> {
  const { options, history, world, disturbed, faults } = run;
  const beginAt = history.numOperations + options.round / 3;
  while (history.numOperations < beginAt) await sleep(2);
  if (options.plant !== null) return;
  const kind = disturbanceOf(round);
  const problem = await disturb(kind, round, { victim, world, history, disk });
  if (problem !== null) faults.push(problem);
  disturbed.set(kind, (disturbed.get(kind) ?? 0) + 1);
}

function progress(run: Run): string {
  const { history, options, numReplayed } = run;
  return `${history.numOperations} of ${options.requests} operations, ${numReplayed} replayed, ${minutesOf(run).toFixed(1)} min`;
}

/** A run that has anything left to do meets every disturbance once at least. A fault ends it. */
function isToContinue(run: Run, round: number): boolean {
  const { history, options, disturbed, faults } = run;
  if (faults.length > 0) return false;
  if (options.minutes > 0 && minutesOf(run) > options.minutes) return false;
  if (history.numOperations < options.requests) return true;
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
