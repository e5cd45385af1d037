/**
 * `npm run replicas`: three servers behind a router of deploy/. First without disturbance: what the router costs, and
 * what three servers give on the cores of one. Then servers are killed and rolled under streams, and one is cut off
 * from the network. Prints one table.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { AppError } from "../src/errors.ts";
import type { PlannedRequest } from "./client/draw.ts";
import { runClosedLoop } from "./client/load.ts";
import type { Target } from "./client/stream.ts";
import { adapterNames, planned, runClients } from "./replicas/clients.ts";
import { disturb } from "./replicas/disturbance.ts";
import type { Fleet } from "./replicas/fleet.ts";
import { freePort } from "./processes/child.ts";
import { affinity, judge } from "./replicas/judge.ts";
import { NetworkNamespace } from "./replicas/namespace.ts";
import { HELP, replicasOptions, type ReplicasOptions } from "./replicas/options.ts";
import { Replica } from "./replicas/replica.ts";
import { RayFleet } from "./replicas/ray-fleet.ts";
import { write } from "./replicas/writer.ts";
import type { RouterName } from "./replicas/router.ts";
import { type FleetPlace, ServerFleet } from "./replicas/server-fleet.ts";
import { circumstances, headline } from "./report/circumstances.ts";
import { type Figure, markdownTable, median, ratio } from "./report/figures.ts";
import { measureInTurns } from "./rounds.ts";

/** Threads of the one server that the three are compared with. */
const NUM_CORES = availableParallelism();
const SHIPPED_ADAPTERS = fileURLToPath(new URL("../../adapters", import.meta.url));
/** Requests of one sample of the router's cost, one after the other. */
const PER_SAMPLE = 20;
/** Seconds of one sample of the throughput. */
const SAMPLE_SECONDS = 8;
/** A replica is cut off for so long, in the middle of a run of three times that. */
const CUT_SECONDS = 15;

const note = (text: string): void => void process.stderr.write(`replicas: ${text}\n`);

interface Bench {
  readonly options: ReplicasOptions;
  readonly place: FleetPlace;
  readonly fleet: Fleet;
  readonly requests: readonly PlannedRequest[];
}

/** What the router adds to a request. */
async function compareTimes({ options, requests }: Bench, fleet: ServerFleet): Promise<readonly Figure[]> {
  const own = requests.filter(({ adapter }) => adapter === adapterNames(1)[0]).slice(0, PER_SAMPLE);
  const { outcomes } = await runClosedLoop(fleet.target, own.slice(0, 1), 1);
  if ((outcomes[0]?.headers ?? null) === null)
    throw new Error(`The router answers nothing: ${JSON.stringify(outcomes[0]?.error)}`);
  const home = await homeOf(fleet, own);
  const timeOf = async (target: Target): Promise<number> => {
    const run = await runClosedLoop(target, own, 1);
    return median(run.outcomes.map(({ endMs }) => endMs));
  };
  const times = await measureInTurns(
    [
      { name: "router", measure: () => timeOf(fleet.target) },
      { name: "direct", measure: () => timeOf({ ...fleet.target, url: `http://${home.address}` }) },
    ],
    options.rounds,
  );
  return [
    { what: "one request, direct", unit: "ms", samples: times("direct") },
    ratio("one request, through the router ÷ direct", times("router"), times("direct"), { atMost: 1.05 }),
  ];
}

/** What three servers give on the cores of one. */
async function compareRates({ options, place, requests }: Bench, fleet: ServerFleet): Promise<readonly Figure[]> {
  const { folder, ...shared } = place;
  const own = { host: "127.0.0.1", port: await freePort(), threads: NUM_CORES, namespace: null };
  await using single = new Replica({ ...own, ...shared, data: join(folder, "single") });
  await single.start();
  const rateOf = async (target: Target): Promise<number> => {
    const run = await runClients(target, requests, {
      numStreams: options.streams,
      seconds: SAMPLE_SECONDS,
      withSdk: false,
    });
    return run.outcomes.reduce((sum, { numTokens }) => sum + numTokens, 0) / run.seconds;
  };
  const rates = await measureInTurns(
    [
      { name: "three", measure: () => rateOf(fleet.target) },
      { name: "one", measure: () => rateOf({ ...fleet.target, url: `http://${single.address}` }) },
    ],
    options.rounds,
  );
  const what = `tokens/s of one server with a thread a core, ${options.streams} streams`;
  return [
    { what, unit: "", samples: rates("one") },
    ratio("tokens/s of three servers ÷ one on the same cores", rates("three"), rates("one")),
  ];
}

/** The replica that counts the requests which the router sends for one adapter. */
async function homeOf({ replicas, target }: ServerFleet, own: readonly PlannedRequest[]): Promise<Replica> {
  const counts = () => Promise.all(replicas.map(answeredBy));
  const before = await counts();
  await runClosedLoop(target, own.slice(0, 3), 1);
  const after = await counts();
  const home = replicas.find((_, index) => (after[index] ?? 0) - (before[index] ?? 0) === 3);
  if (home) return home;
  throw new Error(`Three requests of one adapter went to several replicas: ${before.join()} → ${after.join()}.`);
}

async function answeredBy({ address }: Replica): Promise<number> {
  const text = await (await fetch(`http://${address}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line.startsWith("vllm:request_success_total{"));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

async function quiet({ options, fleet, requests }: Bench): Promise<readonly Figure[]> {
  const run = await runClients(fleet.target, requests, {
    numStreams: options.streams,
    seconds: SAMPLE_SECONDS,
    withSdk: false,
  });
  return [
    {
      what: "stayed with the adapter's last replica, nothing disturbed",
      unit: "×",
      samples: [affinity(run.outcomes, fleet.servedBy)],
      goal: { atLeast: 0.95 },
    },
  ];
}

async function storm({ options, fleet, requests }: Bench): Promise<readonly Figure[]> {
  const { seconds, killEvery, streams } = options;
  note(`${seconds} s: one replica is killed every ${killEvery} s, and all are rolled`);
  const end = new AbortController();
  const writing = write(fleet.target.url, end.signal);
  const [run, { numKilled, numRolled }] = await Promise.all([
    runClients(fleet.target, requests, { numStreams: streams, seconds, withSdk: true }),
    disturb(fleet, { seconds, killEvery }),
  ]);
  end.abort();
  const uploads = await (await writing)();
  const what = `replicas killed; ${numRolled} rolled`;
  return [{ what, unit: "", samples: [numKilled] }, ...judge(run, fleet.servedBy), ...uploads];
}

async function partition({ options, fleet, requests }: Bench, cable: NetworkNamespace): Promise<readonly Figure[]> {
  note(`one replica is cut off from the network for ${CUT_SECONDS} s`);
  const cut = async (): Promise<void> => {
    await sleep(CUT_SECONDS * 1000);
    cable.cut();
    await sleep(CUT_SECONDS * 1000);
    cable.mend();
  };
  const [run] = await Promise.all([
    runClients(fleet.target, requests, { numStreams: options.streams, seconds: 3 * CUT_SECONDS, withSdk: true }),
    cut(),
  ]);
  return judge(run, fleet.servedBy);
}

/** A directory of adapters under as many names as wanted. */
function shareAdapters(folder: string, numNames: number): string {
  const dir = join(folder, "adapters");
  mkdirSync(dir);
  const files = readdirSync(SHIPPED_ADAPTERS).filter((file) => file.endsWith(".mosara"));
  for (const [index, name] of adapterNames(numNames).entries())
    cpSync(join(SHIPPED_ADAPTERS, files[index % files.length] ?? ""), join(dir, `${name}.mosara`));
  return dir;
}

async function main(options: ReplicasOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "mosara-replicas-"));
  const place = { folder, adapters: shareAdapters(folder, options.adapters), store: join(folder, "store") };
  mkdirSync(place.store);
  try {
    const results =
      options.router === "ray" ? await withRay(options, place) : await withRouter(options.router, options, place);
    process.stdout.write(`${headline(await circumstances("npm run replicas --"))}\n\n${markdownTable(results)}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function withRouter(name: RouterName, options: ReplicasOptions, place: FleetPlace) {
  using cable = NetworkNamespace.create("mosara-cut");
  if (cable === null) note("no network namespace can be made here (root and iproute2 are wanted): no partition");
  await using fleet = await ServerFleet.start(name, place, cable);
  const requests = await planned(`http://${fleet.replicas[0]?.address}`, options);
  const bench = { options, place, fleet, requests };
  const compared =
    options.rounds === 0 ? [] : [...(await compareTimes(bench, fleet)), ...(await compareRates(bench, fleet))];
  return [
    { scenario: name, figures: [...compared, ...(await quiet(bench))] },
    { scenario: "killed and rolled", figures: await storm(bench) },
    ...(cable === null ? [] : [{ scenario: "cut off", figures: await partition(bench, cable) }]),
  ];
}

/** Replicas of Ray belong to a cluster of one machine here: none can be cut off, or asked without Ray. */
async function withRay(options: ReplicasOptions, place: FleetPlace) {
  await using fleet = await RayFleet.start(place);
  const bench = { options, place, fleet, requests: await planned(fleet.target.url, options) };
  return [
    { scenario: "ray", figures: await quiet(bench) },
    { scenario: "killed and rolled", figures: await storm(bench) },
  ];
}

try {
  const options = replicasOptions(process.argv.slice(2));
  if (options === null) process.stdout.write(HELP);
  else await main(options);
} catch (error) {
  process.stderr.write(`replicas: ${error instanceof AppError ? error.message : (error as Error).stack}\n`);
  // A disturbance that is still running would start a replica again.
  process.exit(error instanceof AppError && error.code === "usage" ? 2 : 1);
}
