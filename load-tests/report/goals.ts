/**
 * The project's promises about speed, as a table: every row with the scenario that measures it and the measured figure.
 * Pure.
 */
import { type Figure, type ScenarioResult, cellsOf, table } from "./figures.ts";

/** The rows in their order: what is compared, the bound in words, and the scenario that measures it. */
const ROWS = {
  "adapters-qv": ["decode, 16 adapters on q,v ÷ bare base", "≥ 0.98", "engine"],
  "adapters-default": ["decode, 16 adapters on q,v,o,down ÷ bare base", "≥ 0.95", "engine"],
  "adapters-all-linear": ["decode, 16 adapters on all linear layers ÷ bare base", "≥ 0.90", "engine"],
  "heads-qv": ["decode, 16 adapters with 5 heads and routers on q,v ÷ bare base", "≥ 0.95", "engine"],
  "lora-qv": ["decode, 16 LoRA of rank 8 on q,v ÷ bare base", "≥ 0.95", "engine"],
  "adapter-1": ["decode, 1 row with an adapter on q,v,o,down ÷ bare base", "≥ 0.92", "engine"],
  "peer-16": ["16 clients on the base ÷ llama.cpp's server", "≥ 1.3, with VNNI int8 ≥ 2.4, int4 ≥ 1.7", "peer"],
  "peer-adapters": [
    "16 clients on 16 adapters ÷ llama.cpp's server with 16 LoRA",
    "≥ 5, with VNNI int8 ≥ 6, int4 ≥ 4",
    "peer",
  ],
  "peer-1": ["1 client ÷ llama.cpp's server", "int8 ≥ 1.2, int4 ≥ 1.05, with VNNI 1.6, 1.2", "peer"],
  ceiling: ["decode, 16 rows ÷ its matrix products alone", "≥ 0.90", "ceiling"],
  "ceiling-1": ["decode, 1 row ÷ its matrix products alone", "≥ 0.85", "ceiling"],
  "peer-prefill": ["prefill ÷ llama.cpp's server", "int8 ≥ 1.2, int4 ≥ 1.0", "peer"],
  "rivals-16": ["16 clients on the base ÷ ik_llama.cpp, mistral.rs, vLLM", "≥ 1.2", "rivals"],
  "rivals-lora": ["16 clients on 16 LoRA ÷ mistral.rs, vLLM", "≥ 1.5", "rivals"],
  "rivals-prefill": ["prefill ÷ ik_llama.cpp, mistral.rs, vLLM", "int8 ≥ 1.2, int4 ≥ 1.0", "rivals"],
  http: ["16 streams over HTTP ÷ engine driven directly", "≥ 0.95", "http"],
  residency: ["100,000 adapters at random ÷ one: first token p99", "≤ 1.1", "residency"],
  store: ["first token p99 beyond a round trip, 100,000 adapters in a bucket ÷ all local", "≤ 1.3", "store"],
  upload: ["a new adapter's first token ÷ a resident one's", "≤ 1.05 (+ 5 ms)", "http"],
  merged: ["merged ÷ bare base", "1.00 ± 0.02", "merged"],
  overload: ["goodput at 2, 5 and 10 times the load it can answer ÷ its peak", "≥ 0.90", "overload"],
  pacing: ["(p99 between tokens beside a long prompt − p50) ÷ a chunk of it", "≤ 1.2", "pacing"],
  prefix: ["first token of new prompts, prefixes kept ÷ not", "≤ 1.02", "prefix"],
  "event-loop": ["event-loop delay p99 with 64 streams", "< 50 ms", "http"],
  "grammar-bound": ["16 rows bound to a JSON Schema ÷ 16 free rows", "≥ 0.90", "grammar"],
  "grammar-beside": ["free rows beside bound ones ÷ beside free ones", "≥ 0.98", "grammar"],
  "grammar-compile": ["wait for a token while a 2 kB schema is compiled ÷ without", "≤ 1.1", "grammar"],
  "speculation-json": ["JSON of a known schema, 1 client, with speculation ÷ without", "≥ 1.5", "speculation"],
  "speculation-copy": ["text that repeats its prompt, 1 client, with speculation ÷ without", "≥ 1.8", "speculation"],
  "peer-schema": ["16 clients bound to a JSON Schema ÷ llama.cpp's server, int8", "≥ 2", "peer"],
  tenants: ["requests/s with keys, limits and receipts ÷ without, 16 clients, demo", "≥ 0.985", "tenants"],
  train: ["training step ÷ PyTorch's on the same CPU", "adapter ≤ 0.9, pretraining ≤ 1", "train"],
  "peft-step": ["training step on SmolLM2-135M's shape, 4 × 256 ÷ PEFT's LoRA", "≤ 0.7", "peft"],
  "peft-memory": ["peak memory of the same ÷ PEFT's LoRA", "≤ 0.6", "peft"],
  jobs: ["8 streams beside a training job: time between tokens p99 ÷ without", "≤ 1.5", "jobs"],
  soak: ["memory after 100,000 requests ÷ after 1,000", "≤ 1.05", "npm run soak"],
} as const satisfies Readonly<Record<string, readonly [what: string, target: string, scenario: string]>>;

/** Names a row of the summary; a figure that stands for one says so. */
export type RowName = keyof typeof ROWS;

/** A row as an object. */
export interface PromisedRow {
  readonly name: RowName;
  readonly what: string;
  /** The bound in words. */
  readonly target: string;
  readonly scenario: string;
}

export const PROMISES: readonly PromisedRow[] = Object.entries(ROWS).map(([name, [what, target, scenario]]) => ({
  name: name as RowName, // keys of the table above
  what,
  target,
  scenario,
}));

const HEAD = ["what", "target", "measured", "median", "min–max", "unit", "goal", "met"];

/** Every row with what stands for it; a row that nothing was measured for says which scenario would. */
export function summaryTable(results: readonly ScenarioResult[]): string {
  const figures = results.flatMap((result) => result.figures);
  const rows = PROMISES.flatMap(({ name, what, target, scenario }) => {
    const found = figures.filter((figure: Figure) => figure.row === name);
    if (found.length === 0) return [[what, target, `not measured (${scenario})`, "", "", "", "", ""]];
    return found.map((figure) => [what, target, ...cellsOf(figure)]);
  });
  return table([HEAD, ...rows]);
}
