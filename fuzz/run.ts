/**
 * `npm run fuzz -- --runs 10000000`: damaged inputs for every parser of bytes from outside. A parser reads an input or
 * refuses it with an error for its user. Anything else is a fault: another error, more than a few seconds, a full heap.
 * The input of a fault is written to test/fuzz/corpus, which the tests read again.
 */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Fault, FuzzThread } from "./campaign.ts";
import { Random } from "./inputs/random.ts";
import { kindOf, openState, saveState, type State } from "./state.ts";
import type { Target } from "./target.ts";
import { TARGETS, targetNamed } from "./targets.ts";

/** Runs between two writes of the state. */
const AT_ONCE = 20_000;

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    target: { type: "string", multiple: true },
    state: { type: "string", default: join(tmpdir(), "mosara-fuzz") },
    corpus: { type: "string", default: join("test", "fuzz", "corpus") },
  },
});
const targets: readonly Target[] = values.target?.map(targetNamed) ?? TARGETS;
const perTarget = Math.ceil(Number(values.runs) / targets.length);
const state = openState(values.state, Number(values.seed));
const thread = new FuzzThread();
const startedMs = performance.now();

// All targets advance together, so that a run that is stopped has tried each of them.
for (let done = 0; done < perTarget; done += AT_ONCE) {
  for (const target of targets) await advance(target, Math.min(perTarget, done + AT_ONCE));
}
thread.close();
report();
process.exitCode = state.faults.length === 0 ? 0 : 1;

async function advance(target: Target, to: number): Promise<void> {
  const from = state.next[target.name] ?? 0;
  if (from >= to) return;
  const { faults, numRead } = await thread.runRange({ target: target.name, seed: state.seed, from, to }, target);
  for (const fault of faults) keep(fault, target);
  state.read[target.name] = (state.read[target.name] ?? 0) + numRead;
  state.next[target.name] = to;
  saveState(values.state, state);
  process.stderr.write(`${target.name}: ${to} runs, ${faults.length} faults, ${total(state)} runs in all\n`);
}

function keep(fault: Fault, target: Target): void {
  if (state.faults.some((known) => kindOf(known) === kindOf(fault))) return;
  state.faults.push(fault);
  const input = target.makeInput(new Random(state.seed, fault.run));
  const dir = join(values.corpus, target.name);
  mkdirSync(dir, { recursive: true });
  const file = join(dir, createHash("sha256").update(input).digest("hex").slice(0, 16));
  writeFileSync(file, input);
  process.stderr.write(`${target.name} run ${fault.run}: ${fault.reason}\n  input: ${file}\n`);
}

function total({ next }: State): number {
  return Object.values(next).reduce((sum, runs) => sum + runs, 0);
}

function report(): void {
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
