/**
 * Errors of devices, distinguished by ONNX Runtime's messages (1.30, seen on Dawn with Vulkan; there are no codes),
 * with the remedy for each. No device ever replaces another.
 */
import { AppError } from "../errors.ts";

/** Where sessions run: ONNX Runtime's execution providers. */
export type Device = "cpu" | "webgpu" | "cuda";

/**
 * Operators of our graphs that a device's provider lacks. The session would compute them on the host, and copy every
 * operand. Source: ONNX Runtime 1.30's log of node placement.
 */
export const MISSING_OPERATORS: Readonly<Record<Device, readonly string[]>> = {
  cpu: [],
  webgpu: ["FusedMatMul", "Sum"],
  cuda: [],
};

// The message is "No supported adapters" with a loader but no driver, and "Failed to get a WebGPU adapter" without
// either.
const NO_WEBGPU = /WebGPU (adapter|device)|supported adapters|wgpu::RequestAdapterStatus|VK_ERROR_INCOMPATIBLE_DRIVER/i;
const NO_CUDA = /CUDA|cudnn|shared library|providers_shared/i;
// Dawn logs a failed allocation, and then reports every command that uses the buffer as invalid.
const NO_MEMORY =
  /OUT_OF_(DEVICE|HOST)_MEMORY|out of memory|max buffer size limit|\[Invalid Buffer|Failed to allocate|bad_alloc/i;
// "[Device] is lost." is Dawn's message.
const LOST = /device\]? (is |was )?lost|lost device|DEVICE_LOST|CUDA failure/i;

const WEBGPU_HELP =
  "It needs the Vulkan loader (Debian: libvulkan1) and the card's driver. If the loader does not find the driver's ICD file, name it in VK_DRIVER_FILES.";
const CUDA_HELP =
  "It needs ONNX Runtime's CUDA binaries, which are installed by an extra step (ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js), CUDA 12 and cuDNN 9.";

/** The memory of a device is exhausted. */
export class DeviceFullError extends AppError {
  /**
   * Whether the provider keeps a buffer that could not be allocated, and reuses it. Runs that need a buffer of its size
   * then fail until the process ends, even if memory becomes free.
   */
  readonly isLasting: boolean;

  constructor(message: string, isLasting: boolean, cause: unknown) {
    super("insufficient_memory", message, { cause });
    this.isLasting = isLasting;
  }
}

/** The error for a session that could not be opened. @param model the model that was to be opened */
export function openError(device: Device, model: string, cause: unknown): AppError {
  const { message } = cause as Error;
  const reason = reasonOf(message);
  if (device === "webgpu" && NO_WEBGPU.test(message))
    return new AppError("device_unavailable", `No device for webgpu was found: ${reason}. ${WEBGPU_HELP}`, { cause });
  if (device === "cuda" && NO_CUDA.test(message))
    return new AppError("device_unavailable", `cuda cannot be used: ${reason}. ${CUDA_HELP}`, { cause });
  if (device !== "cpu" && NO_MEMORY.test(message))
    return new AppError("insufficient_memory", `${model} does not fit into the memory of ${device}: ${reason}.`, {
      cause,
    });
  return new AppError("base_invalid", `${model} cannot be opened on ${device}: ${message}`, { cause });
}

/** A message without its leading source location in ONNX Runtime. */
function reasonOf(message: string): string {
  const [line = ""] = message.trim().split("\n");
  const said = line.replace(/^\/\S+:\d+ .* was false\. /, "");
  return (/ message: (.*)$/.exec(said)?.[1] ?? said).replace(/\.+$/, "");
}

/** The error for a failed run where the device caused it. Other errors are returned unchanged. */
export function runError(device: Device, error: unknown): unknown {
  const { message } = error as Error;
  const reason = reasonOf(message);
  if (LOST.test(message))
    return new AppError("engine_unavailable", `The device (${device}) is lost: ${reason}.`, { cause: error });
  if (NO_MEMORY.test(message))
    return new DeviceFullError(
      `The memory of the device (${device}) is exhausted: ${reason}. Lower --kv-cache-bytes or --max-num-seqs.`,
      true,
      error,
    );
  return error;
}
