/**
 * Makes the shipped demo from nothing: corpus → tokenizer → random weights → pretraining → base → card → adapters →
 * scores. One command does all of it and can be resumed. Files that are in the work directory already are not made
 * again. A training that was cut off continues where it was.
 *
 *   node dist/scripts/make-demo.js             models/demo and adapters/, hours
 *   node dist/scripts/make-demo.js --smoke     the same chain at toy size into work/smoke, a minute or two
 *   node dist/scripts/make-demo.js --rebuild   graph and manifest of models/demo again, from its own weights and bases
 */
import { existsSync } from "node:fs";
import { cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { OWN } from "./demo/adapters.ts";
import { buildDemo, rebuildDemo } from "./demo/base.ts";
import { exampleLines, SEED } from "./demo/make-adapter.ts";
import { writeCard } from "./demo/card.ts";
import { startCopying } from "./demo/copying-start.ts";
import {
  BATCH_SIZE,
  CHAT_TEMPLATE,
  DEVIATION,
  type DemoPlan,
  type Leg,
  SHIPPED,
  SPECIAL_TOKENS,
  TOY,
  VOCAB_SIZE,
} from "./demo/plan.ts";
import { MAIN, runProgram } from "./demo/program.ts";

/** Examples of the README's own adapter. */
const OWN_LINES = 200;
/** Of a run's log, one step in this many is kept beside the report; evaluations all are. */
const LOG_EVERY = 5;
/** Adapters whose held-out requests are shipped, so that anybody can measure them again. */
const MEASURED = ["pirate"];

const { values } = parseArgs({
  options: {
    smoke: { type: "boolean", default: false },
    rebuild: { type: "boolean", default: false },
    work: { type: "string" },
  },
});
const isToy = values.smoke;
const plan: DemoPlan = isToy ? TOY : SHIPPED;
const work = values.work ?? (isToy ? "work/smoke" : "work/demo");
const base = isToy ? join(work, "base") : "models/demo";
const docs = isToy ? join(work, "docs") : "docs/demo";
const adapters = isToy ? join(work, "shipped-adapters") : "adapters";

await mkdir(work, { recursive: true });
if (values.rebuild) await rebuildDemo(base, work);
else await makeAll();
process.stdout.write(`${base} is ready\n`);

async function makeAll(): Promise<void> {
  for (const leg of plan.legs) makeCorpus(leg);
  const [first] = plan.legs;
  if (first === undefined) throw new Error("internal: a plan without training");
  await makeTokenizer(join(work, `corpus-${first.name}`));
  let checkpoint = await makeStart();
  for (const leg of plan.legs) checkpoint = pretrain(leg, checkpoint);
  const isBuilt = join(work, "base.built");
  if (!existsSync(isBuilt)) {
    await buildDemo(checkpoint, base, work);
    await writeFile(isBuilt, "");
  }
  const card = join(work, "card.md");
  if (!existsSync(card)) await writeCard({ base, corpus: join(work, `corpus-${first.name}`), work, plan, card });
  await cp(card, join(base, "README.md"));
  trainAdapters();
  await mkdir(docs, { recursive: true });
  for (const { name } of plan.legs) await keepRecord(name);
  await writeFile(join(docs, "butler.jsonl"), exampleLines(OWN, OWN_LINES, SEED, "training"));
  for (const name of MEASURED)
    await cp(join(work, "adapters", `${name}.held-out.jsonl`), join(docs, `${name}.held-out.jsonl`));
}

function makeCorpus({ name, seed, lines, practice }: Leg): void {
  const out = join(work, `corpus-${name}`);
  if (existsSync(join(out, "held-out.jsonl"))) return;
  const sizes = ["--lines", `${lines}`, "--held-out", `${plan.heldOut}`];
  runProgram("scripts/make-corpus.js", [
    "--out",
    out,
    ...sizes,
    "--seed",
    `${seed}`,
    ...(practice ? ["--practice"] : []),
  ]);
}

async function makeTokenizer(corpus: string): Promise<void> {
  const out = join(work, "tokenizer");
  if (existsSync(join(out, "tokenizer_config.json"))) return;
  const template = join(work, "chat.jinja");
  await writeFile(template, CHAT_TEMPLATE);
  const special = SPECIAL_TOKENS.flatMap((token) => ["--special", token]);
  const data = ["--data", join(corpus, "tokenizer-sample.jsonl"), "--vocab-size", `${VOCAB_SIZE}`];
  const eos = ["--eos", SPECIAL_TOKENS[0] ?? "", "--chat-template", template];
  runProgram("scripts/train-tokenizer.js", [...data, ...special, ...eos, "--out", out]);
}

/** Random weights that can begin to copy. @returns the checkpoint */
async function makeStart(): Promise<string> {
  const out = join(work, "start");
  if (existsSync(out)) return out;
  const config = join(work, "config.json");
  await writeFile(config, `${JSON.stringify(plan.config, null, 2)}\n`);
  const random = join(work, "random");
  await rm(random, { recursive: true, force: true });
  runProgram(MAIN, [
    "init",
    "--config",
    config,
    "--tokenizer",
    join(work, "tokenizer"),
    "--out",
    random,
    "--seed",
    "1",
  ]);
  const {
    hidden_size: hidden,
    head_dim: headDim,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
  } = plan.config;
  const sizes = { hidden, headDim, heads, kvHeads, ropeTheta: plan.config.rope_theta } as Parameters<
    typeof startCopying
  >[1];
  await startCopying(join(random, "model.safetensors"), sizes, DEVIATION);
  await rename(random, out);
  return out;
}

/** @returns the trained checkpoint */
function pretrain({ name, steps, rate, warmup, seed }: Leg, from: string): string {
  const out = join(work, name);
  if (existsSync(join(out, "model.safetensors"))) return out;
  const corpus = join(work, `corpus-${name}`);
  const data = ["--data", join(corpus, "train.jsonl"), "--eval", join(corpus, "held-out.jsonl"), "--max-length", "512"];
  const size = ["--steps", `${steps}`, "--batch-size", `${BATCH_SIZE}`, "--lr", `${rate}`, "--warmup", `${warmup}`];
  const keep = ["--eval-every", "300", "--seed", `${seed}`, "--report", join(work, `${name}.html`), "--resume"];
  runProgram(MAIN, ["train", "--model", from, "--method", "full", ...data, ...size, ...keep, "--out", out]);
  return out;
}

/** Log and report of a run, for those who want to see how it went. */
async function keepRecord(leg: string): Promise<void> {
  const lines = (await readFile(join(work, `${leg}.log.jsonl`), "utf8")).trim().split("\n");
  const kept = lines.filter((line) => {
    const { step, evalLoss } = JSON.parse(line) as { step: number; evalLoss?: number };
    return evalLoss !== undefined || step % LOG_EVERY === 0;
  });
  await writeFile(join(docs, `${leg}.log.jsonl`), `${kept.join("\n")}\n`);
  await cp(join(work, `${leg}.html`), join(docs, `${leg}.html`));
}

function trainAdapters(): void {
  const only = plan.adapters === null ? [] : ["--only", plan.adapters.join(",")];
  const { adapterSteps, adapterExamples, adapterHeldOut } = plan;
  const size = ["--steps", `${adapterSteps}`, "--examples", `${adapterExamples}`, "--held-out", `${adapterHeldOut}`];
  const where = ["--base", base, "--out", adapters, "--work", join(work, "adapters")];
  runProgram("scripts/train-demo-adapters.js", [...where, ...size, ...only]);
}
