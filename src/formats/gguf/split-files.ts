/**
 * The files of a model that was split: `name-00001-of-00003.gguf` and so on, each naming its number and how many there
 * are.
 */
import { basename, dirname, join } from "node:path";
import { refuseGguf } from "./cursor.ts";
import type { GgufMetadata } from "./metadata.ts";

const SPLIT_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;
const MAX_FILES = 1000;

/**
 * The paths of all files of the model, in order. `path` may be any of them.
 * @throws {AppError} checkpoint_invalid where name and metadata contradict each other
 */
export function splitPaths(path: string, metadata: GgufMetadata): readonly string[] {
  const count = metadata.get("split.count") ?? 1;
  if (count === 1 || count === 0) return [path];
  const number = metadata.get("split.no");
  if (typeof count !== "number" || typeof number !== "number" || count > MAX_FILES || number < 0 || number >= count)
    return refuseGguf(path, `its split.no is ${String(number)} of split.count ${String(count)}`);
  const [, prefix = "", digits, total] = SPLIT_NAME.exec(basename(path)) ?? [];
  if (Number(digits) !== number + 1 || Number(total) !== count)
    return refuseGguf(path, `it is file ${number + 1} of ${count}, so its name must end in ${suffix(number, count)}`);
  return Array.from({ length: count }, (_, index) => join(dirname(path), `${prefix}${suffix(index, count)}`));
}

function suffix(index: number, count: number): string {
  const digits = (value: number): string => String(value).padStart(5, "0");
  return `-${digits(index + 1)}-of-${digits(count)}.gguf`;
}
