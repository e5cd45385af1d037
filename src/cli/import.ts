/** `mosara import`: converts a PEFT LoRA directory to a `.mosara` file. */
import { mkdir, realpath } from "node:fs/promises";
import { dirname, parse, resolve } from "node:path";
import { DEFAULT_MAX_ADAPTER_BYTES, decodeAdapter, generationOf } from "../adapter/adapter-file.ts";
import { numParams } from "../adapter/adapter.ts";
import { openBase } from "../base/base.ts";
import type { ConfigOf } from "../config/commands.ts";
import { AppError } from "../errors.ts";
import { replaceFile } from "../replace-file.ts";
import { readPeftFiles } from "../store/directory/directory-files.ts";
import { locateAdapter } from "./shared/locate-model.ts";
import { peftConverter } from "./shared/peft-converter.ts";
import { PLAIN_BUILD, resolveBase } from "./shared/resolve-base.ts";

/** @returns the exit code. @throws {AppError} */
export async function importPeft(config: ConfigOf<"import">): Promise<number> {
  const [path = ""] = config.positionals; // the table requires one
  const found = await locateAdapter(path);
  if (found === null)
    throw new AppError(
      "usage",
      `There is no ${path}. Name a PEFT adapter's directory, or its repository on the Hub (owner/name).`,
    );
  const dir = await realpath(found);
  // Checked first, so that no checkpoint is built in vain.
  const files = await readPeftFiles(parse(dir).root, dir, DEFAULT_MAX_ADAPTER_BYTES);
  await using base = await openBase(await resolveBase(config.model, { ...PLAIN_BUILD, cache: config.cache }));
  const note = (_: string, notice: string) => void process.stderr.write(`note: ${notice}.\n`);
  const bytes = await peftConverter(base, note)(files);
  const out = resolve(config.out);
  await mkdir(dirname(out), { recursive: true });
  await replaceFile(out, bytes);
  const adapter = decodeAdapter(bytes);
  const result = {
    out: config.out,
    baseId: adapter.baseId,
    generation: generationOf(bytes),
    method: adapter.method,
    targets: adapter.targets.length,
    numParams: numParams(adapter),
    bytes: bytes.byteLength,
  };
  process.stdout.write(
    config.json
      ? `${JSON.stringify(result)}\n`
      : `${config.out}: LoRA on ${result.targets} layers, ${result.numParams} numbers, ${result.bytes} bytes\n`,
  );
  return 0;
}
