/** `mosara inspect`: describes a .mosara file, a PEFT directory, a base directory or a checkpoint (GGUF files too). */
import { existsSync } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { DEFAULT_MAX_ADAPTER_BYTES } from "../adapter/adapter-file.ts";
import { numParams } from "../adapter/adapter.ts";
import { adapterOfPeftAlone } from "../adapter/peft.ts";
import { type Checkpoint, openCheckpoint } from "../checkpoint/checkpoint.ts";
import { MANIFEST_FILE, readManifest } from "../base/manifest.ts";
import type { ConfigOf } from "../config/commands.ts";
import { AppError } from "../errors.ts";
import { isGgufFile, openGguf } from "../formats/gguf/gguf-file.ts";
import { isPeftDirectory, readPeftFiles } from "../store/directory/directory-files.ts";
import type { QuantizedLayout } from "../model/serve/quantized-matrix.ts";
import type { WeightLayouts } from "../model/serve/weight-layouts.ts";
import { type EndToken, loadEndTokens } from "../tokenizer/files/end-tokens.ts";
import { directoryTexts } from "../tokenizer/files/text-source.ts";
import { readAdapter } from "./shared/read-adapter.ts";

/** @returns the exit code. @throws {AppError} */
export async function inspect(config: ConfigOf<"inspect">): Promise<number> {
  const [path = ""] = config.positionals; // the table requires one
  const facts = await describe(path);
  process.stdout.write(config.json ? `${JSON.stringify(facts)}\n` : asLines(facts));
  return 0;
}

type Facts = Readonly<Record<string, unknown>>;

async function describe(path: string): Promise<Facts> {
  const found = await stat(path).catch(() => undefined);
  if (!found)
    throw new AppError(
      "usage",
      `There is no ${path}. Name a .mosara file, a PEFT directory, a base directory or a checkpoint.`,
    );
  if (!found.isDirectory()) return (await isGgufFile(path)) ? await describeGguf(path) : await describeAdapter(path);
  if (await isPeftDirectory(path)) return await describePeft(path);
  return existsSync(join(path, MANIFEST_FILE)) ? await describeBase(path) : await describeCheckpoint(path);
}

async function describeAdapter(path: string): Promise<Facts> {
  const { adapter, generation, bytes } = await readAdapter(path);
  return {
    kind: "adapter",
    method: adapter.method,
    heads: adapter.heads,
    router: adapter.router,
    numParams: numParams(adapter),
    bytes: bytes.byteLength,
    generation,
    baseId: adapter.baseId,
    targets: adapter.targets.map(({ name, k, dIn, dOut, basisId, scale }) => ({ name, k, dIn, dOut, basisId, scale })),
    endTokenIds: adapter.endTokenIds ?? [],
    card: adapter.card,
  };
}

/** The contents of the files. Whether they fit a base can only be checked with that base. */
async function describePeft(path: string): Promise<Facts> {
  const root = await realpath(path);
  const files = await readPeftFiles(root, root, DEFAULT_MAX_ADAPTER_BYTES);
  const adapter = adapterOfPeftAlone(files);
  return {
    kind: "peft",
    method: adapter.method,
    numParams: numParams(adapter),
    bytes: files.tensors.byteLength,
    dtypes: [...new Set(adapter.targets.flatMap(({ tensors }) => Object.values(tensors).map(({ dtype }) => dtype)))],
    targets: adapter.targets.map(({ name, k, dIn, dOut, scale }) => ({ name, k, dIn, dOut, scale })),
    card: adapter.card,
  };
}

async function describeBase(path: string): Promise<Facts> {
  const { config, ...manifest } = await readManifest(path);
  const { tokens: endTokens } = await loadEndTokens(await directoryTexts(path), path, config.vocabSize);
  return { kind: "base", ...manifest, endTokenIds: endTokens.map(({ id }) => id), endTokens };
}

async function describeCheckpoint(path: string): Promise<Facts> {
  await using checkpoint = await openCheckpoint(path);
  return await checkpointFacts(checkpoint);
}

async function checkpointFacts(checkpoint: Checkpoint): Promise<Facts> {
  const sizes = checkpoint.tensors.map(({ shape }) => shape.reduce((a, b) => a * b, 1));
  return {
    kind: "checkpoint",
    architecture: (checkpoint.rawConfig.architectures as readonly string[] | undefined)?.[0] ?? null,
    parameters: sizes.reduce((a, b) => a + b, 0),
    tensors: checkpoint.tensors.length,
    dtypes: [...new Set(checkpoint.tensors.map(({ dtype }) => dtype))],
    endTokens: (await loadEndTokens(checkpoint.texts, checkpoint.path, checkpoint.config.vocabSize)).tokens,
  };
}

/** A checkpoint in one file, and its quantisation. */
async function describeGguf(path: string): Promise<Facts> {
  await using file = await openGguf(path);
  await using checkpoint = await openCheckpoint(path);
  const types = new Map<string, number>();
  for (const { type } of file.tensors.values()) types.set(type.name, (types.get(type.name) ?? 0) + 1);
  return {
    ...(await checkpointFacts(checkpoint)),
    format: "gguf",
    files: file.paths.length,
    types: Object.fromEntries(types),
    notices: checkpoint.notices,
  };
}

/** One end token: its id, its text and the places that name it. */
function showEnd({ id, text, from }: EndToken): string {
  return `${id}${text === null ? "" : ` ${JSON.stringify(text)}`} (${from.join(", ")})`;
}

/** One fact a line; a list of layers follows as a table. */
function asLines(facts: Facts): string {
  const lines = Object.entries(facts).flatMap(([key, value]) => {
    if (value === undefined) return [];
    if (key === "endTokens") {
      const ends = (value as readonly EndToken[]).map(showEnd).join(", ") || "none: every answer runs to max_tokens";
      return [`${key.padEnd(14)}${ends}`];
    }
    if (key === "layouts" && value !== null) return ["layouts", ...layoutLines(value as WeightLayouts)];
    if (!Array.isArray(value) || typeof value[0] !== "object") return [`${key.padEnd(14)}${show(value)}`];
    return [
      key,
      ...value.map(
        (row: Facts) => `  ${show(row.name).padEnd(34)}${show(row.dOut)}×${show(row.dIn)}  k ${show(row.k)}`,
      ),
    ];
  });
  return `${lines.join("\n")}\n`;
}

/** One line for each layout, with the groups that have it. */
function layoutLines(layouts: WeightLayouts): readonly string[] {
  const groups = new Map<string, string[]>();
  for (const [group, layout] of Object.entries(layouts)) {
    const names = groups.get(showLayout(layout)) ?? [];
    groups.set(showLayout(layout), [...names, group]);
  }
  return [...groups].map(([layout, names]) => `  ${layout.padEnd(38)}${names.join(", ")}`);
}

function showLayout(layout: QuantizedLayout): string {
  const { bits, blockSize, hasZeroPoints, hasMinimums } = layout;
  const extra = hasMinimums ? ", minimums" : hasZeroPoints ? ", zero points" : "";
  return `${bits} bits in blocks of ${blockSize}${extra}`;
}

function show(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
