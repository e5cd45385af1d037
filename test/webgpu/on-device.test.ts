/**
 * Graphs on a device, in one file: compiled shaders stay with the open device, and compiling them takes most of the
 * time. The parts are in `on-device/`.
 */
import { holdDevice } from "../helpers/engine/webgpu.ts";
import { describeBlends } from "./on-device/blend-and-pool.ts";
import { describeModels } from "./on-device/models.ts";
import { describeSteps } from "./on-device/steps.ts";

holdDevice();
describeSteps();
describeBlends();
describeModels();
