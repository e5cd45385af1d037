/**
 * Memory of self-tests that passed, as empty files of a directory. The bits of a step depend on the program, the CPU,
 * the shape of the base and the engine's settings alone. A test that passed with the same of all is not run again,
 * because it takes as long as some tens of steps.
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Manifest } from "../../base/manifest.ts";
import type { DeviceFacts, EngineOptions } from "../protocol.ts";

/** What decides the result of a self-test, besides what `EngineOptions.selfTests` names. */
interface Tested {
  readonly manifest: Manifest;
  readonly device: DeviceFacts;
  readonly options: EngineOptions;
}

/**
 * The result of a self-test. A failed test is run at every start, and so are tests on a GPU, whose driver may change
 * unseen.
 * @param test runs it. @returns whether it passed, now or before
 */
export async function passesSelfTest(tested: Tested, test: () => Promise<boolean>): Promise<boolean> {
  const { selfTests } = tested.options;
  if (!selfTests || tested.device.name !== "cpu") return await test();
  const path = join(selfTests.dir, nameOf(tested, selfTests.environment));
  if (existsSync(path)) return true;
  if (!(await test())) return false;
  await remember(selfTests.dir, path);
  return true;
}

/** Changes with everything that the bits of a step may depend on. */
function nameOf({ manifest, device, options }: Tested, environment: string): string {
  const { maxNumSeqs, kvCacheDtype = "auto", takesAdapters, requiresBatchInvariance, maxModelLen } = options;
  const engine = { maxNumSeqs, kvCacheDtype, takesAdapters, requiresBatchInvariance, maxModelLen };
  return createHash("sha256").update(JSON.stringify({ environment, manifest, device, engine })).digest("hex");
}

/** The test has passed in any case: a full or read-only disk only makes the next start run it again. */
async function remember(dir: string, path: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true });
    await writeFile(path, "");
  } catch (error) {
    console.warn(`The passed self-test could not be noted, so the next start runs it again: ${String(error)}`);
  }
}
