import { defineConfig } from "vitest/config";
import { SlowFilesFirst } from "./test/slow-files-first.ts";

/**
 * Folders whose test files share a worker's modules, which are loaded once, and not once a file (0.6 s of processor
 * time each). A test there leaves nothing behind in its process: no variable of the environment, no listener, no timer.
 */
const SHARING = [
  "adapter",
  "autodiff",
  "base",
  "checkpoint",
  "config",
  "data",
  "device-graph",
  "engine",
  "eval",
  "fields",
  "formats",
  "graders",
  "grammar",
  "graph",
  "helpers",
  "http",
  "jinja",
  "jobs",
  "keys",
  "linalg",
  "load-tests/report",
  "log",
  "metrics",
  "model",
  "placement",
  "report",
  "rollout",
  "runtime",
  "tensor",
  "tokenizer",
  "train",
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
      { extends: true, test: { name: "sharing", include: SHARING, isolate: false } },
      { extends: true, test: { name: "alone", include: ["test/**/*.test.ts"], exclude: SHARING } },
    ],
  },
});
