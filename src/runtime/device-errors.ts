/**
 * What goes wrong with devices, told apart by ONNX Runtime's messages (1.30, seen on Dawn with Vulkan; there are no codes), and what to
 * do about it. No device ever stands in for another.
 */
import { AppError } from "../errors.ts";

/** Where sessions run: ONNX Runtime's execution providers. */
export type Device = "cpu" | "webgpu" | "cuda";

/**
 * Operators that our graphs use and a device's provider has not: the session would compute them on the host, with every operand over the
 * bus. ONNX Runtime 1.30, by its log of where nodes were placed.
 */
export const MISSING_OPERATORS: Readonly<Record<Device, readonly string[]>> = {
  cpu: [],
  webgpu: ["FusedMatMul", "Sum"],
  cuda: [],
};

// "No supported adapters" with a loader but no driver; "Failed to get a WebGPU adapter" without either.
const NO_WEBGPU = /WebGPU (adapter|device)|supported adapters|wgpu::RequestAdapterStatus|VK_ERROR_INCOMPATIBLE_DRIVER/i;
const NO_CUDA = /CUDA|cudnn|shared library|providers_shared/i;
// Dawn reports a failed allocation to its log, and then every command that uses the buffer as invalid.
const NO_MEMORY =
  /OUT_OF_(DEVICE|HOST)_MEMORY|out of memory|max buffer size limit|\[Invalid Buffer|Failed to allocate|bad_alloc/i;
// "[Device] is lost." is Dawn's.
const LOST = /device\]? (is |was )?lost|lost device|DEVICE_LOST|CUDA failure/i;

const WEBGPU_HELP =
  "It needs the Vulkan loader (Debian: libvulkan1) and the driver of the card, whose ICD file is found by itself or named in VK_DRIVER_FILES.";
const CUDA_HELP =
  "It needs ONNX Runtime's CUDA binaries, which are installed by an extra step (ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js), CUDA 12 and cuDNN 9.";

/** The memory of a device is used up. */
export class DeviceFullError extends AppError {
  /**
   * Whether the provider keeps a buffer that could not be had, and hands it out again: runs that need one of its size then fail, whatever
   * becomes free, until the process ends.
   */
  readonly isLasting: boolean;

  constructor(message: string, isLasting: boolean, cause: unknown) {
    super("insufficient_memory", message, { cause });
    this.isLasting = isLasting;
  }
}

/** Why a session could not be opened. @param model what was to be opened */
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

/** What a message says, without the place in ONNX Runtime's sources before it. */
function reasonOf(message: string): string {
  const [line = ""] = message.trim().split("\n");
  const said = line.replace(/^\/\S+:\d+ .* was false\. /, "");
  return (/ message: (.*)$/.exec(said)?.[1] ?? said).replace(/\.+$/, "");
}

/** Why a run failed, where that is the device's doing; other errors come back as they are. */
export function runError(device: Device, error: unknown): unknown {
  const { message } = error as Error;
  const reason = reasonOf(message);
  if (LOST.test(message))
    return new AppError("engine_unavailable", `The device (${device}) is lost: ${reason}.`, { cause: error });
  if (NO_MEMORY.test(message))
    return new DeviceFullError(
      `The memory of the device (${device}) is used up: ${reason}. Lower --kv-cache-bytes or --max-num-seqs.`,
      true,
      error,
    );
  return error;
}
