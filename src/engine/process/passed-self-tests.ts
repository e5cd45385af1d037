/**
 * Memory of the self-tests that passed, as empty files of a directory. The bits of a step depend on the program, the
 * CPU, the shape of the base and the engine's settings alone. A test that passed with the same of all is not run again,
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
  readonly options: Pick<EngineOptions, "maxNumSeqs" | "kvCacheDtype" | "takesAdapters" | "maxModelLen" | "selfTests">;
}

/**
 * The first of these multiples of rows with which a self-test passes. Where all have failed, they are tried at every
 * start, and so is everything on a GPU, whose driver may change unseen.
 * @param test runs it. @returns null: it passed with none, now or before
 */
export async function firstPassing(
  tested: Tested,
  multiples: readonly number[],
  test: (rowMultiple: number) => Promise<boolean>,
): Promise<number | null> {
  const { selfTests } = tested.options;
  if (!selfTests || tested.device.name !== "cpu") return await firstOf(multiples, test);
  const noteOf = (rowMultiple: number): string =>
    join(selfTests.dir, nameOf(tested, rowMultiple, selfTests.environment));
  // A note of a later one says that those before it have failed.
  const noted = multiples.find((one) => existsSync(noteOf(one)));
  if (noted !== undefined) return noted;
  const passing = await firstOf(multiples, test);
  if (passing !== null) await remember(selfTests.dir, noteOf(passing));
  return passing;
}

async function firstOf(
  multiples: readonly number[],
  test: (rowMultiple: number) => Promise<boolean>,
): Promise<number | null> {
  for (const one of multiples) if (await test(one)) return one;
  return null;
}

/** Changes with everything that the bits of a step may depend on. */
function nameOf({ manifest, device, options }: Tested, rowMultiple: number, environment: string): string {
  const { maxNumSeqs, kvCacheDtype = "auto", takesAdapters, maxModelLen } = options;
  const engine = { maxNumSeqs, kvCacheDtype, takesAdapters, maxModelLen, rowMultiple };
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
