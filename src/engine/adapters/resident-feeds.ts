/**
 * Adapter inputs in a device's memory. They are uploaded only when another adapter is prefilled or the composition of
 * the decoding batch changes. The host's feeds define the content. Switches and empty inputs stay on the host.
 */
import type { DeviceMemory, DeviceTensor } from "../../runtime/device-memory.ts";
import { numElements } from "../../tensor/host-tensor.ts";
import type { AdapterRow } from "./adapter-row.ts";
import type { Feeds, StepFeeds } from "./step-feeds.ts";

/** The uploaded tensors, and the host's tensors they were made from. */
class Uploaded {
  readonly feeds: Feeds;
  readonly tensors: readonly DeviceTensor[];

  constructor(feeds: Feeds, tensors: readonly DeviceTensor[]) {
    this.feeds = feeds;
    this.tensors = tensors;
  }

  get bytes(): number {
    return this.tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  free(): void {
    for (const tensor of this.tensors) tensor.free();
  }
}

export class ResidentFeeds implements StepFeeds {
  readonly #host: StepFeeds;
  readonly #memory: DeviceMemory;
  #single: Uploaded | null = null;
  #singleAdapter: AdapterRow | null = null;
  #batch: Uploaded | null = null;
  #batchSource: Feeds | null = null;

  constructor(host: StepFeeds, memory: DeviceMemory) {
    this.#host = host;
    this.#memory = memory;
  }

  /** Bytes in use on the device. */
  get bytes(): number {
    return (this.#single?.bytes ?? 0) + (this.#batch?.bytes ?? 0);
  }

  async single(adapter: AdapterRow | null): Promise<Feeds> {
    if (this.#single === null || adapter !== this.#singleAdapter) {
      const uploaded = await this.#upload(await this.#host.single(adapter));
      this.#single?.free();
      this.#single = uploaded;
      this.#singleAdapter = adapter;
    }
    return this.#single.feeds;
  }

  async batch(rows: readonly (AdapterRow | null)[]): Promise<Feeds> {
    const source = await this.#host.batch(rows);
    if (this.#batch === null || source !== this.#batchSource) {
      const uploaded = await this.#upload(source);
      this.#batch?.free();
      this.#batch = uploaded;
      this.#batchSource = source;
    }
    return this.#batch.feeds;
  }

  async #upload(source: Feeds): Promise<Uploaded> {
    const moved = Object.entries(source).filter(([, { type, dims }]) => type === "float32" && numElements(dims) > 0);
    const parts = moved.map(([, { data, dims }]) => ({ data: data as Float32Array, shape: dims }));
    const tensors = parts.length > 0 ? await this.#memory.upload("float32", parts) : [];
    const onDevice = moved.map(([name], i) => [name, tensors[i]!.as(tensors[i]!.shape)] as const); // as many
    return new Uploaded({ ...source, ...Object.fromEntries(onDevice) }, tensors);
  }
}
