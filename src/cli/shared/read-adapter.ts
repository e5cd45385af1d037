/** An adapter file from a path, with its size checked before it is read. */
import { readFile, stat } from "node:fs/promises";
import { decodeAdapter, DEFAULT_MAX_ADAPTER_BYTES, generationOf } from "../../adapter/adapter-file.ts";
import type { Adapter } from "../../adapter/adapter.ts";
import { AppError } from "../../errors.ts";

/** @throws {AppError} usage where there is no such file, adapter_too_large, adapter_invalid. */
export async function readAdapter(
  path: string,
): Promise<{ readonly adapter: Adapter; readonly generation: string; readonly bytes: number }> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) throw new AppError("usage", `There is no file ${path}. Name a .mosara file.`);
  if (found.size > DEFAULT_MAX_ADAPTER_BYTES)
    throw new AppError(
      "adapter_too_large",
      `${path} has ${found.size} bytes; adapters have at most ${DEFAULT_MAX_ADAPTER_BYTES}.`,
    );
  const bytes = await readFile(path);
  return { adapter: decodeAdapter(bytes), generation: generationOf(bytes), bytes: bytes.byteLength };
}
