/** The smallest whole way on a device, from half precision. Needs dist/. */
import { it } from "vitest";
import { describeOnWebgpu } from "../helpers/engine/webgpu.ts";
import { serveOn } from "../helpers/whole-way.ts";

describeOnWebgpu("mosara on a WebGPU device", () => {
  // Shaders are compiled at the first steps, on a test machine by SwiftShader.
  it("builds, serves from half precision and ends", { timeout: 240_000 }, () => serveOn("webgpu", "float16"));
});
