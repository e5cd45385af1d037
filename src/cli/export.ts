/**
 * `mosara export`: writes an adapter as a PEFT LoRA directory. Mo-SARA with one head and SARA are exactly a LoRA of
 * rank k.
 */
import { existsSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Adapter, assertFits } from "../adapter/adapter.ts";
import { assertExportable, peftConfig, peftTensors } from "../adapter/peft.ts";
import { type Base, openBase } from "../base/base.ts";
import { mergeBasis } from "../base/merge/merged-weights.ts";
import type { ConfigOf } from "../config/commands.ts";
import { AppError } from "../errors.ts";
import { writeSafetensors } from "../formats/safetensors-writer.ts";
import { peftNames } from "../model/peft-names.ts";
import type { HostTensor } from "../tensor/host-tensor.ts";
import { readAdapter } from "./shared/read-adapter.ts";
import { PLAIN_BUILD, resolveBase } from "./shared/resolve-base.ts";
import { writeWholeDirectory } from "../checkpoint/whole-directory.ts";

/** @returns the exit code. @throws {AppError} */
export async function exportPeft(config: ConfigOf<"export">): Promise<number> {
  const [path = ""] = config.positionals; // the table requires one
  const { adapter, generation } = await readAdapter(path);
  assertExportable(adapter);
  const out = resolve(config.out);
  if (existsSync(out) && (await readdir(out)).length > 0)
    throw new AppError("usage", `--out ${config.out} exists and is not empty. Name another directory.`);
  await using base = await openBase(await resolveBase(config.model, { ...PLAIN_BUILD, cache: config.cache }));
  assertFits(adapter, base.signature);
  await writePeftDirectory(base, adapter, out);
  if (adapter.endTokenIds !== undefined)
    process.stderr.write(
      `note: PEFT has no place for the adapter's end tokens (${adapter.endTokenIds.join(", ")}), so the program that serves ${config.out} must be told to stop at them.\n`,
    );
  const { targets } = adapter;
  process.stdout.write(
    config.json
      ? `${JSON.stringify({ out: config.out, baseId: adapter.baseId, generation, method: adapter.method, targets: targets.length })}\n`
      : `${config.out}: ${adapter.method} on ${targets.length} layers as a PEFT LoRA\n`,
  );
  return 0;
}

/** The directory appears under its name only when it is complete. */
async function writePeftDirectory(base: Base, adapter: Adapter, out: string): Promise<void> {
  const names = peftNames(base.manifest.config);
  await writeWholeDirectory(out, async (temporary) => {
    const tensors = new Map<string, HostTensor>();
    for (const target of adapter.targets)
      for (const [name, tensor] of peftTensors(
        adapter,
        target,
        adapter.method === "mo-sara" ? await mergeBasis(base, target.name) : null,
        names,
      ))
        tensors.set(name, tensor);
    const specs = [...tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
    // The writer requests only the names of its specs.
    const load = async (name: string): Promise<HostTensor> => tensors.get(name) as HostTensor;
    await writeSafetensors(join(temporary, "adapter_model.safetensors"), specs, load, { format: "pt" });
    await writeFile(join(temporary, "adapter_config.json"), `${JSON.stringify(peftConfig(adapter, names), null, 2)}\n`);
  });
}
