/**
 * A WebGPU device for tests: a real one where VK_DRIVER_FILES names a driver, else SwiftShader out of Debian's chromium
 * package. The environment is set before a session asks for it. Without either the tests are skipped with a notice, in
 * CI they fail.
 */
import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe } from "vitest";
import { DeviceMemory } from "../../../src/runtime/device-memory.ts";

const SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json";
/** Where Linux distributions put the Vulkan loader. */
const LOADERS = [
  "/usr/lib/x86_64-linux-gnu/libvulkan.so.1",
  "/usr/lib/aarch64-linux-gnu/libvulkan.so.1",
  "/usr/lib64/libvulkan.so.1",
];

if (!process.env.VK_DRIVER_FILES && existsSync(SWIFTSHADER)) {
  process.env.VK_DRIVER_FILES = SWIFTSHADER;
  process.env.VK_ICD_FILENAMES = SWIFTSHADER; // loaders before 1.3.207
}

/** Whether there is something to run on. */
const hasDevice = Boolean(process.env.VK_DRIVER_FILES) && LOADERS.some((path) => existsSync(path));
const isSkipped = !hasDevice && !process.env.CI;
if (isSkipped)
  console.warn(
    "No Vulkan device: the WebGPU tests are skipped. For SwiftShader: apt-get install chromium libvulkan1 (Debian); for a card: set VK_DRIVER_FILES.",
  );

/** Tests that need a device. */
export const describeOnWebgpu = describe.skipIf(isSkipped);

/**
 * Keeps the device open for all tests of a file. Without, it would go with the last session of each test, and its
 * compiled shaders with it: on SwiftShader they take four fifths of the time.
 */
export function holdDevice(): void {
  const memory = new DeviceMemory();
  beforeAll(async () => {
    if (!isSkipped) (await memory.zeros("float32", [1])).free();
  });
  afterAll(() => memory[Symbol.asyncDispose]());
}
