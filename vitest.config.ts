import { defineConfig } from "vitest/config";
import { SlowFilesFirst } from "./test/slow-files-first.ts";

/**
 * Folders of tests that start no process and change nothing outside their own objects. Their files share a worker's
 * modules, so that these are loaded once, and not once a file.
 */
const PURE = [
  "adapter",
  "autodiff",
  "checkpoint",
  "config",
  "data",
  "engine/sampling",
  "engine/scheduling",
  "fields",
  "formats",
  "graders",
  "grammar",
  "graph",
  "helpers",
  "http",
  "jinja",
  "keys",
  "log",
  "metrics",
  "model/config",
  "placement",
  "report",
  "rollout",
  "tensor",
  "tokenizer",
].map((folder) => `test/${folder}/**/*.test.ts`);

export default defineConfig({
  test: {
    // Two cores and one ONNX Runtime thread pool a process: more workers only wait for each other.
    maxWorkers: 2,
    globalSetup: ["test/helpers/models/bases-folder.ts"],
    sequence: { sequencer: SlowFilesFirst },
    // A start of a server takes a second, and a minute on a machine with twenty other things to do.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 120_000 } },
    projects: [
      { extends: true, test: { name: "pure", include: PURE, isolate: false } },
      { extends: true, test: { name: "whole", include: ["test/**/*.test.ts"], exclude: PURE } },
    ],
  },
});
