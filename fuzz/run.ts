/**
 * `npm run fuzz -- --runs 10000000`: damaged inputs for every parser of bytes from outside. A parser reads an input or
 * refuses it with an error for its user. Anything else is a fault: another error, more than a few seconds, a full heap.
 * The input of a fault is written to test/fuzz/corpus, which the tests read again.
 */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Fault, FuzzThread } from "./campaign.ts";
import { Random } from "./inputs/random.ts";
import { type FuzzOptions, fuzzOptions, HELP } from "./options.ts";
import { kindOf, openState, saveState, type State } from "./state.ts";
import type { Target } from "./target.ts";
import { TARGETS, targetNamed } from "./targets.ts";

/** Runs between two writes of the state. */
const AT_ONCE = 20_000;

interface Campaign {
  readonly options: FuzzOptions;
  readonly targets: readonly Target[];
  readonly state: State;
  readonly thread: FuzzThread;
  readonly startedMs: number;
}

const options = fuzzOptions(process.argv.slice(2));
if (options === null) process.stdout.write(HELP);
else process.exitCode = await main(options);

/** @returns the exit status */
async function main(options: FuzzOptions): Promise<number> {
  const targets = options.target?.map(targetNamed) ?? TARGETS;
  const state = openState(options.state, options.seed);
  const campaign = { options, targets, state, thread: new FuzzThread(), startedMs: performance.now() };
  const perTarget = Math.ceil(options.runs / targets.length);
  // All targets advance together, so that a run that is stopped has tried each of them.
  for (let done = 0; done < perTarget; done += AT_ONCE) {
    for (const target of targets) await advance(campaign, target, Math.min(perTarget, done + AT_ONCE));
  }
  campaign.thread.close();
  report(campaign);
  return state.faults.length === 0 ? 0 : 1;
}

async function advance(campaign: Campaign, target: Target, to: number): Promise<void> {
  const { options, state, thread } = campaign;
  const from = state.next[target.name] ?? 0;
  if (from >= to) return;
  const { faults, numRead } = await thread.runRange({ target: target.name, seed: state.seed, from, to }, target);
  for (const fault of faults) keep(campaign, fault, target);
  state.read[target.name] = (state.read[target.name] ?? 0) + numRead;
  state.next[target.name] = to;
  saveState(options.state, state);
  process.stderr.write(`${target.name}: ${to} runs, ${faults.length} faults, ${total(state)} runs in all\n`);
}

function keep({ options, state }: Campaign, fault: Fault, target: Target): void {
  if (state.faults.some((known) => kindOf(known) === kindOf(fault))) return;
  state.faults.push(fault);
  const input = target.makeInput(new Random(state.seed, fault.run));
  const dir = join(options.corpus, target.name);
  mkdirSync(dir, { recursive: true });
  const file = join(dir, createHash("sha256").update(input).digest("hex").slice(0, 16));
  writeFileSync(file, input);
  process.stderr.write(`${target.name} run ${fault.run}: ${fault.reason}\n  input: ${file}\n`);
}

function total({ next }: State): number {
  return Object.values(next).reduce((sum, runs) => sum + runs, 0);
}

function report({ targets, state, startedMs }: Campaign): void {
  const rows = targets.map(({ name }) => {
    const faults = state.faults.filter(({ target }) => target === name).length;
    const [runs, read] = [state.next[name] ?? 0, state.read[name] ?? 0].map(String);
    return `${name.padEnd(24)} ${runs?.padStart(9)} runs ${read?.padStart(9)} read ${String(faults).padStart(4)} faults`;
  });
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(
    `${rows.join("\n")}\n${total(state)} runs, ${state.faults.length} kinds of faults, ${seconds} s now\n`,
  );
}
