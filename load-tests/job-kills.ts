/**
 * `npm run soak:jobs`: a training job whose server and trainer are killed at random points. Does it end with the same
 * bytes as a job that nobody disturbs? Compares the adapter, the table of losses and the number of tokens. Exits with 1
 * if they differ. Needs /proc.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { nextUint32, seedRandom } from "../src/tensor/random.ts";
import { createJob, hasEnded, resultOf, untilJob, uploadLines } from "./client/fine-tuning.ts";
import { childrenOf } from "./processes/process-memory.ts";
import { BASE_NAME, type Server, startServer } from "./processes/server-process.ts";

const HELP = `Usage: npm run soak:jobs -- [flags]

  --kills <n>   Times that something is killed (default: 10).
  --steps <n>   Steps of the job (default: 200).
  --seed <n>    Of the points (default: 1).
`;

/** Longest time between a step and the kill after it: about that of a trainer's start. */
const MAX_DELAY_MS = 2000;

const VICTIMS = ["server", "trainer", "both"] as const;

/** Something is killed this long after the job has reached a step. */
interface Kill {
  readonly victim: (typeof VICTIMS)[number];
  readonly step: number;
  readonly delayMs: number;
}

interface Options {
  readonly kills: number;
  readonly steps: number;
  readonly seed: number;
}

const demo = join(fileURLToPath(new URL("../../", import.meta.url)), "models", "demo");
const note = (text: string): void => void process.stderr.write(`jobs: ${text}\n`);

/** Every victim comes in turn. @returns kills by step, each step once, so that the job moves between two of them */
function drawKills({ kills, steps, seed }: Options): readonly Kill[] {
  const random = seedRandom(seed);
  const below = (bound: number): number => nextUint32(random) % bound;
  const points = new Set<number>();
  while (points.size < kills) points.add(below(steps - 1));
  return Array.from(points)
    .sort((a, b) => a - b)
    .map((step, i) => ({ victim: VICTIMS[i % VICTIMS.length] ?? "server", step, delayMs: below(MAX_DELAY_MS) }));
}

function trainersOf({ pid }: Server): readonly number[] {
  return childrenOf(pid).filter((child) => fileOf(child, "cmdline").includes("job-process"));
}

/** A file below /proc; empty where the process has ended. */
function fileOf(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return "";
  }
}

/** A dead process that nobody has waited for has a state too: Z. */
function isAlive(pid: number): boolean {
  const status = fileOf(pid, "status");
  return status !== "" && !/^State:\s+Z/m.test(status);
}

/** The server of the jobs, which may be killed and started again. */
class Place implements AsyncDisposable {
  readonly #scratch = mkdtempSync(join(tmpdir(), "mosara-jobs-"));
  #server: Server | null = null;

  async start(): Promise<void> {
    this.#server = await startServer(demo, this.#scratch, 1, ["--training-threads", "1", "--training-nice", "0"]);
  }

  get server(): Server {
    if (this.#server === null) throw new Error("internal: the server was not started");
    return this.#server;
  }

  async kill(victim: Kill["victim"]): Promise<void> {
    if (victim !== "server") for (const pid of trainersOf(this.server)) process.kill(pid, "SIGKILL");
    if (victim === "trainer") return;
    const children = childrenOf(this.server.pid);
    process.kill(this.server.pid, "SIGKILL");
    await this.server[Symbol.asyncDispose]();
    for (const pid of children) while (isAlive(pid)) await sleep(10);
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    rmSync(this.#scratch, { recursive: true, force: true });
  }
}

/** @returns the number of kills before the job's end. @throws {Error} where a result differs */
async function soakJobs(options: Options): Promise<number> {
  await using place = new Place();
  await place.start();
  const lines = Array.from({ length: 64 }, (_, i) =>
    JSON.stringify({ prompt: `Ping ${i}: `, completion: `pong ${i}.` }),
  );
  const file = await uploadLines(place.server.url, lines);
  const body = { model: BASE_NAME, training_file: file, seed: 3, mosara: { steps: options.steps } };
  const unbroken = await createJob(place.server.url, body);
  const wanted = await resultOf(place.server.url, await untilJob(place.server.url, unbroken.id, hasEnded));
  note(`a job of ${options.steps} steps has ended undisturbed`);

  const { id } = await createJob(place.server.url, body);
  let numKills = 0;
  for (const { victim, step, delayMs } of drawKills(options)) {
    await untilJob(place.server.url, id, (job) => job.mosara.step >= step);
    await sleep(delayMs);
    // A trainer that is to be killed may be about to start.
    const isThere = (): boolean => victim === "server" || trainersOf(place.server).length > 0;
    const job = await untilJob(place.server.url, id, (one) => hasEnded(one) || isThere());
    if (hasEnded(job)) break;
    await place.kill(victim);
    note(`kill ${++numKills}: ${victim}, at step ${job.mosara.step}`);
  }
  const found = await resultOf(place.server.url, await untilJob(place.server.url, id, hasEnded));
  if (found === wanted) return numKills;
  throw new Error(`The results differ after ${numKills} kills:\nundisturbed ${wanted}\nkilled      ${found}`);
}

const string = { type: "string" } as const;
const { values } = parseArgs({ options: { kills: string, steps: string, seed: string, help: { type: "boolean" } } });
const options = {
  kills: Number(values.kills ?? 10),
  steps: Number(values.steps ?? 200),
  seed: Number(values.seed ?? 1),
};
if (values.help === true) process.stdout.write(HELP);
else if (!Object.values(options).every((n) => Number.isSafeInteger(n) && n > 0) || options.kills >= options.steps) {
  process.stderr.write(
    "jobs: --kills, --steps and --seed must be whole numbers from 1 on, with fewer kills than steps.\n",
  );
  process.exitCode = 2;
} else {
  const numKills = await soakJobs(options);
  process.stdout.write(`The same bytes after ${numKills} of ${options.kills} kills.\n`);
}
