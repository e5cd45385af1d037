/**
 * Reads files below a directory safely: never outside it, never a pipe, never more bytes than allowed. Knows nothing of
 * the store. Source: docs/how-to/adapters/watch-a-directory.md.
 */
import { type Stats, constants } from "node:fs";
import { access, open, readdir, realpath, stat } from "node:fs/promises";
import { basename, join, relative, resolve, sep } from "node:path";
import { isPeftText, PEFT_CONFIG, PEFT_TENSORS } from "../../adapter/peft-files.ts";
import type { PeftDirectory } from "../../adapter/peft.ts";
import { AppError, quote } from "../../errors.ts";

export const ADAPTER_EXTENSION = ".mosara";

/** The adapter's name in a file's name; undefined for files that do not end in `.mosara`. */
export function nameOfFile(path: string): string | undefined {
  return path.endsWith(ADAPTER_EXTENSION) ? basename(path, ADAPTER_EXTENSION) : undefined;
}

const PEFT_PICKLE = "adapter_model.bin";
export const MAX_PEFT_CONFIG_BYTES = 4 * 2 ** 20;
export const MAX_PEFT_TEXT_BYTES = 64 * 2 ** 20;

/** Whether the path exists, links followed. */
function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Whether a directory holds a PEFT adapter. */
export async function isPeftDirectory(path: string): Promise<boolean> {
  return await exists(join(path, PEFT_CONFIG));
}

/** The current states of the directory and of its relevant files. A file may change in a directory that does not. */
export async function peftStats(dir: string): Promise<readonly Stats[]> {
  const found = [dir, join(dir, PEFT_CONFIG), join(dir, PEFT_TENSORS)].map((path) => stat(path).catch(() => undefined));
  return (await Promise.all(found)).filter((one) => one !== undefined);
}

/**
 * The files of a PEFT directory. Links are followed as long as they stay inside `root`. A pickle is never read.
 * @throws AppError adapter_invalid where one is missing, adapter_too_large, invalid_request.
 */
export async function readPeftFiles(root: string, dir: string, maxBytes: number): Promise<PeftDirectory> {
  const missing = async (name: string): Promise<AppError> => {
    const pickle = (await exists(join(dir, PEFT_PICKLE)))
      ? ` ${PEFT_PICKLE} is a pickle. It can run code, so it is never read. Save the adapter with safe_serialization.`
      : "";
    return new AppError("adapter_invalid", `${dir} has no ${name}.${pickle}`);
  };
  const read = async (name: string, max: number): Promise<Uint8Array> => {
    if (!(await exists(join(dir, name)))) throw await missing(name);
    const { realPath } = await resolveInside(root, join(dir, name));
    return await readAdapterFile(realPath, max);
  };
  const config = await read(PEFT_CONFIG, MAX_PEFT_CONFIG_BYTES);
  const tensors = await read(PEFT_TENSORS, maxBytes);
  const folder = "additional_chat_templates";
  const templates = (await readdir(join(dir, folder)).catch(() => [])).map((name) => `${folder}/${name}`);
  const names = [...(await readdir(dir)), ...templates].filter(isPeftText).sort();
  const texts = new Map(names.map((name) => [name, () => read(name, MAX_PEFT_TEXT_BYTES)]));
  return { dir, config, tensors, texts };
}

/**
 * Makes a caller's path safe: `path` without links followed, `realPath` with. Both lie inside `root`, which is a real
 * path.
 * @throws AppError invalid_request when it leads outside, adapter_not_found when nothing is there.
 */
export async function resolveInside(root: string, path: string): Promise<{ path: string; realPath: string }> {
  const outside = (): AppError =>
    new AppError("invalid_request", `${quote(path)} is not inside the adapters directory.`);
  if (path.includes("\0")) throw outside();
  const wanted = resolve(root, path);
  // Checked before any access, so that no caller learns which files exist elsewhere.
  if (!isInside(root, wanted)) throw outside();
  const realPath = await realpath(wanted).catch((cause: unknown) => {
    const message = `There is no file ${quote(relative(root, wanted))} in the adapters directory.`;
    throw new AppError("adapter_not_found", message, { cause });
  });
  if (!isInside(root, realPath)) throw outside();
  return { path: wanted, realPath };
}

function isInside(root: string, path: string): boolean {
  return path.startsWith(root.endsWith(sep) ? root : root + sep);
}

/**
 * The bytes of a regular file whose path has no links left.
 * @throws AppError adapter_too_large, or invalid_request when it is not a regular file or has become a link.
 */
export async function readAdapterFile(realPath: string, maxBytes: number): Promise<Uint8Array> {
  // A pipe would block without O_NONBLOCK. A link put in the file's place must not be followed.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
  const file = await open(realPath, flags).catch((cause: unknown) => {
    throw new AppError("invalid_request", `${realPath} cannot be opened. Check that it is a readable file.`, { cause });
  });
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new AppError("invalid_request", `${realPath} is not a regular file.`);
    if (found.size > maxBytes)
      throw new AppError(
        "adapter_too_large",
        `${realPath} has ${found.size} bytes, but at most ${maxBytes} are allowed.`,
      );
    // Bytes appended while reading are left out. The watch then reads the file again.
    const bytes = new Uint8Array(found.size);
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return bytes.subarray(0, length);
  } finally {
    await file.close();
  }
}
