/**
 * The order of the test files. Vitest begins with the largest files, but the slowest ones are not large: the last of
 * them would keep one worker busy while the other has nothing left. They come first here, the slowest at the top.
 */
import { existsSync } from "node:fs";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const ROOT = new URL("../", import.meta.url);

const SLOW_FILES = [
  "test/webgpu/on-device.test.ts",
  "test/webgpu/http.test.ts",
  "test/webgpu/failing-device.test.ts",
  "test/train/families.test.ts",
  "test/load-tests/history.test.ts",
  "test/cli/train.test.ts",
  "test/engine/run/laws.test.ts",
  "test/clients/node.test.ts",
  "test/integration/cases.test.ts",
  "test/outside/page.test.ts",
  "test/scripts/study.test.ts",
  "test/load-tests/served.test.ts",
  "test/integration/adapters/fine-tuning.test.ts",
  "test/integration/models.test.ts",
  "test/scripts/make-demo.test.ts",
  "test/cli/eval.test.ts",
  "test/cli/serve.test.ts",
  "test/load-tests/aborts.test.ts",
  "test/cli/train/report.test.ts",
  "test/webgpu/whole-way.test.ts",
  "test/integration/answers/structured-output.test.ts",
  "test/integration/gguf.test.ts",
  "test/cli/train-rewards.test.ts",
  "test/webgpu/bench.test.ts",
  "test/integration/scenario.test.ts",
  "test/engine/process/early-end.test.ts",
  "test/integration/overload.test.ts",
  "test/integration/shutdown.test.ts",
  "test/engine/run/families.test.ts",
  "test/model/peft.test.ts",
];

export class SlowFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const missing = SLOW_FILES.find((path) => !existsSync(new URL(path, ROOT)));
    if (missing !== undefined) throw new Error(`${missing} is gone. Correct the list in test/slow-files-first.ts.`);
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = SLOW_FILES.findIndex((path) => moduleId.endsWith(path));
      return at < 0 ? SLOW_FILES.length : at;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
