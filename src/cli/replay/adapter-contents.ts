/** Finds the adapters of a receipt, by their hashes, in files and in a store. */
import { resolve } from "node:path";
import { AppError } from "../../errors.ts";
import type { Statement } from "../../receipt/receipt.ts";
import { type AdapterContents, openAdapterContents } from "../../store/adapter-contents.ts";
import { readAdapter } from "../shared/read-adapter.ts";

/**
 * The bytes of each needed adapter, once. @throws {AppError} usage: one of them is neither in the files nor in the
 * store
 */
export async function adapterContents(
  adapters: readonly Statement["adapter"][],
  files: readonly string[],
  storeDir: string | null,
): Promise<readonly Uint8Array[]> {
  const wanted = new Set(adapters.flatMap(generationsOf));
  const given = await Promise.all(files.map(contentOf));
  const byGeneration = new Map(given.map(({ generation, bytes }) => [generation, bytes]));
  const store = storeDir === null ? null : openStore(resolve(storeDir));
  try {
    return [...wanted].map((generation) => {
      const content = byGeneration.get(generation) ?? store?.read(generation);
      if (content) return content;
      const found = given.map((one) => `${one.path} is ${one.generation}.`).join(" ");
      throw new AppError(
        "usage",
        `The receipt names the adapter ${generation}, which is not among the files of --adapter${storeDir === null ? "" : ` or in ${storeDir}`}. ${found || "Name its file with --adapter, or the server's store with --data."}`,
      );
    });
  } finally {
    await store?.close();
  }
}

/** A blend has no content of its own. */
function generationsOf(adapter: Statement["adapter"]): readonly string[] {
  if (adapter === null) return [];
  return adapter.blend?.map(({ generation }) => generation) ?? [adapter.generation];
}

async function contentOf(path: string) {
  const { bytes, generation } = await readAdapter(path);
  return { path, bytes, generation };
}

function openStore(dir: string): AdapterContents {
  try {
    return openAdapterContents(dir);
  } catch (cause) {
    throw new AppError("usage", `--data cannot be used: ${(cause as Error).message}.`, { cause });
  }
}
