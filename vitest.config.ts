import { defineConfig } from "vitest/config";
import { SlowFilesFirst } from "./test/slow-files-first.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Two cores and one ONNX Runtime thread pool a process: more workers only wait for each other.
    maxWorkers: 2,
    sequence: { sequencer: SlowFilesFirst },
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
