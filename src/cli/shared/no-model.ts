/** Explains a --model value that is not a model and says how to get one. All known mistakes are listed here. */
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { MANIFEST_FILE } from "../../base/manifest.ts";
import { AppError } from "../../errors.ts";
import { ALIASES } from "../../hub/aliases.ts";
import { nameOfFile } from "../../store/directory/directory-files.ts";

/** @param model the user's value */
export async function noModelError(model: string): Promise<AppError> {
  const found = await stat(model).catch(() => undefined);
  const reason = found === undefined ? absent(model) : found.isDirectory() ? await directory(model) : await file(model);
  return new AppError("usage", reason);
}

function absent(model: string): string {
  const aliases = [...ALIASES.keys()].join(", ");
  return `${model} is neither a base directory nor a checkpoint: nothing is there. Name a base directory, a checkpoint directory, a GGUF file, a model of the Hub (owner/name) or one of these: ${aliases}.`;
}

async function directory(model: string): Promise<string> {
  const names = await readdir(model);
  const gguf = names.find((name) => name.endsWith(".gguf"));
  if (gguf !== undefined)
    return `${model} is neither a base directory (no ${MANIFEST_FILE}) nor a checkpoint (no config.json). Name one of its GGUF files, such as ${join(model, gguf)}.`;
  if (names.includes("adapter_config.json"))
    return `${model} is the directory of a PEFT adapter, not a model. Name its base as the model, and load the adapter with mosara import or --adapters.`;
  if (names.includes("snapshots"))
    return `${model} is a repository in the Hub's cache, not a checkpoint. Name a directory below ${join(model, "snapshots")}.`;
  return `${model} is neither a base directory (no ${MANIFEST_FILE}) nor a checkpoint (no config.json, and no GGUF file). Name a base directory or a checkpoint.`;
}

async function file(model: string): Promise<string> {
  if (nameOfFile(model) !== undefined)
    return `${model} is an adapter, not a model. Name its base as the model, and the directory of the adapter with --adapters.`;
  if (/\.(safetensors|bin|pth?|ckpt)$/.test(model) || (await startsAsZip(model)))
    return `${model} is a file of weights alone. Name the directory that also has its config.json and tokenizer. Weights are read only from safetensors and GGUF files.`;
  return `${model} is a file, but not a GGUF file. Name a base directory, a checkpoint directory or a GGUF file.`;
}

async function startsAsZip(path: string): Promise<boolean> {
  await using handle = await open(path);
  const { buffer } = await handle.read(Buffer.alloc(2), 0, 2, 0);
  return buffer.toString("latin1") === "PK";
}
