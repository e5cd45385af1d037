/** PEFT directories of made-up LoRA adapters, and what takes them in. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodeAdapter } from "../../../src/adapter/adapter-file.ts";
import type { Adapter, BaseSignature } from "../../../src/adapter/adapter.ts";
import { type PeftNames, adapterFromPeft, peftConfig, peftTensors } from "../../../src/adapter/peft.ts";
import { writeSafetensors } from "../../../src/formats/safetensors-writer.ts";
import type { ConvertPeft } from "../../../src/store/directory/directory-options.ts";
import type { HostTensor } from "../../../src/tensor/host-tensor.ts";

/** Names as Llama has them. */
const names: PeftNames = {
  linearAt: (path) => (path.startsWith("model.") ? path.slice("model.".length) : undefined),
  pathOf: (linear) => `model.${linear}`,
  isTransposed: false,
};

/** Writes a LoRA adapter as the PEFT directory `dir`. */
export async function writePeftDirectory(dir: string, adapter: Adapter): Promise<void> {
  mkdirSync(dir, { recursive: true });
  const tensors = new Map<string, HostTensor>(
    adapter.targets.flatMap((target) => [...peftTensors(adapter, target, null, names)]),
  );
  const specs = [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const load = async (name: string) => tensors.get(name)!; // asked for what it was told of
  await writeSafetensors(join(dir, "adapter_model.safetensors"), specs, load);
  writeFileSync(join(dir, "adapter_config.json"), JSON.stringify(peftConfig(adapter, names)));
}

/** Takes PEFT adapters in for the base that `adapter` was made for. */
export function converterFor({ baseId, targets }: Adapter): ConvertPeft {
  const base: BaseSignature = { baseId, linears: new Map(targets.map((target) => [target.name, target])) };
  return (files) => encodeAdapter(adapterFromPeft(files, base, names));
}
