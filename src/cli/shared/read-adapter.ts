/** Reads an adapter file from a path. Its size is checked before it is read. */
import { open, readFile, stat } from "node:fs/promises";
import { decodeAdapter, DEFAULT_MAX_ADAPTER_BYTES, generationOf } from "../../adapter/adapter-file.ts";
import type { Adapter } from "../../adapter/adapter.ts";
import { FOREIGN_HEAD_BYTES, foreignFileNotice } from "../../adapter/foreign-file.ts";
import { AppError } from "../../errors.ts";
import { isPeftDirectory } from "../../store/directory/directory-files.ts";

/** @throws {AppError} usage where there is no such file, adapter_too_large, adapter_invalid. */
export async function readAdapter(
  path: string,
): Promise<{ readonly adapter: Adapter; readonly generation: string; readonly bytes: Uint8Array }> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() && (await isPeftDirectory(path)))
    throw new AppError(
      "usage",
      `${path} is the directory of a PEFT adapter. Convert it to a .mosara file first: mosara import ${path} --model <base> --out <name.mosara>.`,
    );
  if (!found?.isFile()) throw new AppError("usage", `There is no file ${path}. Name a .mosara file.`);
  const foreign = foreignFileNotice(await readHead(path));
  if (foreign !== null) throw new AppError("adapter_invalid", `${path} is not a .mosara file: ${foreign}`);
  if (found.size > DEFAULT_MAX_ADAPTER_BYTES)
    throw new AppError(
      "adapter_too_large",
      `${path} has ${found.size} bytes, but adapters have at most ${DEFAULT_MAX_ADAPTER_BYTES}.`,
    );
  const bytes = await readFile(path);
  return { adapter: decodeAdapter(bytes), generation: generationOf(bytes), bytes };
}

/** First bytes of a file that may be far larger than any adapter. */
async function readHead(path: string): Promise<Uint8Array> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(FOREIGN_HEAD_BYTES), 0, FOREIGN_HEAD_BYTES, 0);
  return buffer.subarray(0, bytesRead);
}
