/**
 * The layout as data: which folder may import which. Change a row here together with ARCHITECTURE.md, and say why in
 * the commit.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { checkoutFiles } from "./helpers/checkout-files.ts";
import { findBreaches, type ImportTable } from "./helpers/import-rules.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "..");

/**
 * Every file may also import errors.ts, program-files.ts, replace-file.ts, node:*, packages, and its own folder;
 * nothing may import main.ts, scripts or test.
 */
const TABLE: ImportTable = {
  "errors.ts": [],
  "program-files.ts": [],
  "replace-file.ts": [],
  config: ["fields/closest-name.ts"],
  keys: ["formats/repeated-key.ts"],
  limits: ["keys"],
  log: [],
  hub: ["adapter/peft-files.ts"],
  metrics: ["engine/protocol.ts"],
  tensor: [],
  formats: ["tensor"],
  runtime: ["tensor", "formats"],
  linalg: ["tensor", "runtime", "formats"],
  graph: ["tensor", "formats"],
  autodiff: ["graph", "tensor"],
  adapter: ["formats", "graph", "tensor"],
  model: ["adapter", "autodiff", "graph", "formats", "tensor"],
  checkpoint: ["model", "formats", "tensor"],
  base: ["checkpoint", "model", "linalg", "runtime", "formats", "tensor", "adapter", "graph", "tokenizer"],
  "device-graph": ["base", "model", "graph", "formats", "tensor"],
  store: ["adapter", "formats", "object-store", "store/lmdb"],
  // How a full disk is kept from ending the process; stores of adapters and of jobs are opened so.
  "store/lmdb": [],
  "object-store": [],
  grammar: ["fields/closest-name.ts"],
  jinja: [],
  tokenizer: ["jinja/jinja.ts"],
  data: ["formats/repeated-key.ts", "tokenizer"],
  eval: ["engine/engine.ts", "data", "tokenizer", "tensor"],
  graders: ["eval/answers.ts", "eval/bleu.ts"],
  // The ground floor: the face, the contract between the two processes, and the few rules both ask.
  engine: ["adapter", "grammar", "type engine/sampling"],
  // The wall: the server's side and the engine's never import each other.
  "engine/server": ["engine", "adapter"],
  "engine/process": ["engine", "engine/*", "-engine/server", "base", "model/adapter-layout.ts", "runtime"],
  // The thread that runs grammars. It alone in the engine's process reads the tokenizer: a grammar binds an answer byte
  // by byte.
  "engine/grammar": ["engine", "grammar", "tokenizer"],
  "engine/scheduling": ["engine", "engine/sampling"],
  "engine/sampling": ["engine", "model/ports.ts", "tensor"],
  "engine/kv": ["engine", "model/ports.ts", "runtime", "tensor"],
  "engine/adapters": [
    "engine",
    "engine/kv",
    "adapter",
    "store",
    "model/ports.ts",
    "model/adapter-layout.ts",
    "type model/linears.ts",
    "runtime",
    "tensor",
  ],
  "engine/run": [
    "device-graph",
    "engine",
    "engine/adapters",
    "engine/kv",
    "engine/sampling",
    "base",
    "model/ports.ts",
    "runtime",
    "tensor",
  ],
  placement: ["engine/engine.ts", "engine/protocol.ts", "engine/server", "base", "store", "adapter"],
  train: [
    "type config",
    "autodiff",
    "base",
    "checkpoint",
    "model",
    "graph",
    "linalg",
    "formats",
    "runtime",
    "adapter",
    "tokenizer",
    "data",
    "tensor",
  ],
  report: ["train", "tensor", "formats"],
  fields: [],
  // What decides the bits of an answer, signed; computing them again needs an engine to be given.
  receipt: ["engine/engine.ts", "formats"],
  jobs: ["store/lmdb"],
  rollout: ["store"],
  http: [
    "engine/engine.ts",
    "graders",
    "grammar",
    "jobs",
    "keys",
    "limits",
    "rollout",
    "placement",
    "store",
    "adapter",
    "tokenizer",
    "metrics",
    "fields",
    "receipt",
    "type config",
  ],
  // Documents made from the routes and the table of errors; scripts may ask for these alone.
  "http/reference": ["http"],
  web: [],
  cli: ["*"],
  "main.ts": ["*"],
  scripts: ["*", "-http", "load-tests"],
  fuzz: ["*"],
  "load-tests": [
    "engine",
    "engine/*",
    "grammar",
    "train",
    "checkpoint",
    "base",
    "device-graph",
    "model",
    "store",
    "object-store",
    "adapter",
    "tokenizer",
    "formats",
    "tensor",
    "runtime/cpu-features.ts",
  ],
};

function sourcesOf(...folders: string[]): Map<string, string> {
  const present = folders.filter((folder) => existsSync(join(ROOT, folder)));
  const paths = present.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((path) => `${folder}/${path}`),
  );
  const files = paths.map((path) => path.replaceAll("\\", "/")).filter((path) => path.endsWith(".ts"));
  return new Map(files.map((path) => [path, readFileSync(join(ROOT, path), "utf8")]));
}

/** What the checker finds in a single file. */
function breachesOf(path: string, text: string): string[] {
  return findBreaches(new Map([[path, text]]), TABLE);
}

describe("the layout", () => {
  it("holds in every source file", () => {
    expect(findBreaches(sourcesOf("src", "scripts", "load-tests", "fuzz"), TABLE)).toEqual([]);
  });

  it("has at most 20 files in a folder, of any kind", () => {
    const counts = new Map<string, number>();
    for (const path of checkoutFiles()) counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
    expect([...counts.keys()]).toEqual(
      expect.arrayContaining(["src/engine", "test/helpers", "docs/reference", "load-tests/scenarios", "findings"]),
    );
    expect([...counts].filter(([, count]) => count > 20)).toEqual([]);
  });

  // 50 to 250 lines are easy to read. A longer file has a second idea: divide it by what its parts claim or do.
  it("has at most 300 lines in a file, tests and their helpers included", () => {
    const sources = sourcesOf("src", "scripts", "load-tests", "fuzz", "test");
    const lengths = [...sources].map(([path, text]) => [path, text.split("\n").length - 1] as const);
    expect(lengths.length).toBeGreaterThan(1000);
    expect(lengths.filter(([, numLines]) => numLines > 300)).toEqual([]);
  });

  it("gives every exported function and class a name of its own", () => {
    const places = new Map<string, string[]>();
    for (const [path, text] of sourcesOf("src"))
      for (const [, name = ""] of text.matchAll(/^export (?:async |abstract )*(?:function|class) (\w+)/gm))
        places.set(name, [...(places.get(name) ?? []), path]);
    expect(places.size).toBeGreaterThan(1000);
    expect([...places].filter(([, paths]) => paths.length > 1)).toEqual([]);
  });

  it("lets only the server's side of the engine start processes", () => {
    const importsValues = /^import (?!type )[^;]*"node:child_process"/m;
    const starts = [...sourcesOf("src/engine")].filter(([, text]) => importsValues.test(text));
    expect(starts.map(([path]) => path)).toEqual(["src/engine/server/engine-processes.ts"]);
  });
});

describe("the checker", () => {
  it("accepts what the table allows", () => {
    const allowed: Record<string, string> = {
      "src/formats/a.ts": 'import { x } from "../tensor/dtype.ts"; import "node:fs"; import "zod"; import "./b.ts";',
      "src/tensor/a.ts": 'import { AppError } from "../errors.ts";',
      "src/engine/kv/a.ts": 'import { PORTS } from "../../model/ports.ts"; import type { X } from "../protocol.ts";',
      "src/http/routes/a.ts": 'import type { Config } from "../../config/commands.ts"; import { x } from "../sse.ts";',
      "src/http/b.ts": 'import type { Config } from "../config/commands.ts";',
      "src/runtime/ort.ts": 'import * as ort from "onnxruntime-node";',
      "src/main.ts": 'import { serve } from "./cli/serve.ts"; import { x } from "./http/app.ts";',
      "scripts/a.ts": 'import { train } from "../src/train/trainer.ts";',
    };
    for (const [path, text] of Object.entries(allowed)) expect(breachesOf(path, text)).toEqual([]);
  });

  it("refuses every form of a forbidden import", () => {
    const target = '"../store/lmdb.ts"';
    const forms = [
      `import { x } from ${target};`,
      `import ${target};`,
      `import type { X } from ${target};`,
      `import { type X } from ${target};`,
      `export { x } from ${target}; export const y = 1;`,
      `export * from ${target}; export const y = 1;`,
      `export type { X } from ${target}; export const y = 1;`,
      `export async function f() { return await import(${target}); }`,
      `export type X = import(${target}).X;`,
    ];
    for (const form of forms)
      expect(breachesOf("src/tensor/a.ts", form), form).toEqual([
        expect.stringMatching(/^src\/tensor\/a\.ts: tensor may not import (a type of )?src\/store\/lmdb\.ts$/),
      ]);
  });

  it.each([
    ["the engine importing the trainer", "src/engine/a.ts", 'import "../train/loss.ts";'],
    [
      "the engine's process importing the server's side",
      "src/engine/process/a.ts",
      'import "../server/supervisor.ts";',
    ],
    ["the server's side importing the engine's", "src/engine/server/a.ts", 'import "../scheduling/scheduler.ts";'],
    [
      "the scheduler importing the runner",
      "src/engine/scheduling/a.ts",
      'import type { X } from "../run/open-device.ts";',
    ],
    ["the trainer importing the engine", "src/train/a.ts", 'import type { X } from "../engine/engine.ts";'],
    ["a file of a folder of which only another is open", "src/engine/a.ts", 'import "../model/decoder.ts";'],
    ["a value where only types are open", "src/http/a.ts", 'import { parse } from "../config/commands.ts";'],
    ["the HTTP server's import by a script", "scripts/a.ts", 'import "../src/http/app.ts";'],
    ["main imported by a command", "src/cli/a.ts", 'import "../main.ts";'],
    ["a script imported by the sources", "src/cli/a.ts", 'import "../../scripts/study.ts";'],
    ["a test helper imported by the sources", "src/main.ts", 'import "../test/helpers/allclose.ts";'],
    ["a root file importing its neighbour", "src/errors.ts", 'import "./config/parse.ts";'],
    ["a second file that imports the runtime package", "src/runtime/b.ts", 'import "onnxruntime-node";'],
    ["a subpath of the runtime package", "src/engine/a.ts", 'import "onnxruntime-node/dist/backend.js";'],
    ["a computed import", "src/engine/a.ts", "await import(name);"],
    ["a folder without a row", "src/misc/a.ts", "export const x = 1;"],
    ["a folder named utils", "src/engine/utils/a.ts", "export const x = 1;"],
    ["an index.ts", "src/engine/index.ts", "export const x = 1;"],
    ["a file of re-exports alone", "src/engine/all.ts", 'export * from "./a.ts"; export { b } from "./b.ts";'],
  ])("refuses %s", (_, path, text) => {
    expect(breachesOf(path, text)).toHaveLength(1);
  });

  it("is not deceived by comments and strings", () => {
    const text = '// import "../store/lmdb.ts";\nexport const x = \'import "../store/lmdb.ts"\';';
    expect(breachesOf("src/tensor/a.ts", text)).toEqual([]);
  });
});
