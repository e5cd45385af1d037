/** What a device's failures are called: the messages are those that ONNX Runtime 1.30 gave on Dawn and Vulkan. */
import { expect, it } from "vitest";
import { AppError } from "../../src/errors.ts";
import { openError, runError } from "../../src/runtime/device-errors.ts";

const PLACE =
  "/onnxruntime_src/onnxruntime/core/providers/webgpu/buffer_manager.cc:641 void onnxruntime::webgpu::BufferManager::Download(WGPUBuffer, void*, size_t) const map_async_result.status == wgpu::MapAsyncStatus::Success was false. Failed to download data from buffer. wgpu::MapAsyncStatus value: ";

it.each([
  // Dawn's words have a bracket before "is lost", which was not seen at first: the engine went on with a dead device.
  [`${PLACE}4, message: [Device] is lost.\n`, "engine_unavailable", "The device (webgpu) is lost: [Device] is lost."],
  [
    `${PLACE}3, message: [Invalid Buffer (unlabeled)] is invalid due to a previous error.`,
    "insufficient_memory",
    "The memory of the device (webgpu) is exhausted: [Invalid Buffer (unlabeled)] is invalid due to a previous error. Lower --kv-cache-bytes or --max-num-seqs.",
  ],
  [
    "WebGPU validation failed. [Invalid Buffer (unlabeled)] is invalid due to a previous error.",
    "insufficient_memory",
    expect.stringContaining("Lower --kv-cache-bytes"),
  ],
])("reports why a run failed: %s", (message, code, told) => {
  expect(runError("webgpu", new Error(message))).toMatchObject({ code, message: told });
});

it("takes memory that ran out in a run to stay unusable", () => {
  const error = runError("webgpu", new Error("WebGPU validation failed. [Invalid Buffer (unlabeled)] is invalid."));
  expect(error).toMatchObject({ code: "insufficient_memory", isLasting: true });
});

it("leaves other errors as they are", () => {
  const error = new Error("Non-zero status code returned while running Gather node");
  expect(runError("webgpu", error)).toBe(error);
});

it("says what to install where there is no device, without a place in others' sources", () => {
  const message =
    "/onnxruntime_src/onnxruntime/core/providers/webgpu/webgpu_context.cc:136 onnxruntime::webgpu::WebGpuContext::Initialize(const onnxruntime::webgpu::WebGpuContextConfig&)::<lambda()> adapter_result.status == wgpu::RequestAdapterStatus::Success was false. Failed to get a WebGPU adapter: No supported adapters";
  const error = openError("webgpu", "the model", new Error(message));
  expect(error).toBeInstanceOf(AppError);
  expect(error).toMatchObject({
    code: "device_unavailable",
    message: expect.stringMatching(
      /^No device for webgpu was found: Failed to get a WebGPU adapter: No supported adapters\. It needs the Vulkan loader/,
    ),
  });
});
