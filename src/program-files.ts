/**
 * Where the program's own files are: the first files of its processes and threads, and what it serves as it is. The
 * program runs in three forms: the sources, each file compiled (dist/src), and joined into few files (dist/mosara). In
 * each, this file or the one it is joined into lies at the top of the program's folder (`scripts/build.mjs`).
 */
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the program's code, with a slash at its end. */
const ROOT = new URL("./", import.meta.url);

/** Absolute path of the program's folder, or of a file or folder in it. */
export function programPath(name = "."): string {
  return fileURLToPath(new URL(name, ROOT));
}

/**
 * The first file of a process or thread, compiled or not as this file is. @param name below src, without its ending;
 * it ends in -process, -thread or -worker, since the build finds such files by that
 */
export function entryUrl(name: `${string}-${"process" | "thread" | "worker"}`): URL {
  return new URL(`./${name}${extname(new URL(import.meta.url).pathname)}`, ROOT);
}
