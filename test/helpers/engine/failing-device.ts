/**
 * A device that is lost, or has no more memory, when a test wants it to: SwiftShader, or a card, behind a Vulkan layer
 * of our own (`test/webgpu/failing-device.c`).
 */
import { execFileSync } from "node:child_process";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "../server.ts";

const SOURCE = join(import.meta.dirname, "..", "..", "webgpu", "failing-device.c");
const LAYER = "VK_LAYER_MOSARA_failing";

export interface FailingDevice {
  /** What a process has to be started with. */
  readonly env: Readonly<Record<string, string>>;
  /** The device of the process that uses it next is lost, and stays so for that process. */
  lose(): void;
  /** From now on there is no memory for buffers of more bytes; what is taken stays, and can be used again. */
  fill(mostBytes: number): void;
  /** There is memory again. */
  empty(): void;
}

/** Needs a C compiler (`cc`). */
export function makeFailingDevice(): FailingDevice {
  const dir = tempDir();
  execFileSync("cc", ["-shared", "-fPIC", "-O1", "-Wall", "-o", join(dir, "layer.so"), SOURCE]);
  const layer = {
    name: LAYER,
    type: "GLOBAL",
    library_path: "./layer.so",
    api_version: "1.3.0",
    implementation_version: "1",
    description: "Fails when it is told to.",
    functions: { vkGetInstanceProcAddr: "mosaraInstanceProc", vkGetDeviceProcAddr: "mosaraDeviceProc" },
  };
  writeFileSync(join(dir, "layer.json"), JSON.stringify({ file_format_version: "1.1.0", layer }));
  const lost = join(dir, "lost");
  const full = join(dir, "full");
  return {
    env: { VK_LAYER_PATH: dir, VK_INSTANCE_LAYERS: LAYER, MOSARA_TEST_LOST: lost, MOSARA_TEST_FULL: full },
    lose: () => writeFileSync(lost, ""),
    fill: (mostBytes) => {
      writeFileSync(`${full}.new`, String(mostBytes)); // it is looked at in the middle of writing
      renameSync(`${full}.new`, full);
    },
    empty: () => rmSync(full, { force: true }),
  };
}
