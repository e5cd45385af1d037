/**
 * Files and directories in the watched directory that seem to be meant as adapters, but cannot be imported. They have
 * another format, or are in a place that is not searched. Each is reported once. Notes, logs and temporary files are
 * ignored.
 */
import { constants } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { FOREIGN_HEAD_BYTES, foreignFileNotice, isMosaraFile } from "../../adapter/foreign-file.ts";
import { AppError } from "../../errors.ts";
import { ADAPTER_EXTENSION, isPeftDirectory } from "./directory-files.ts";

/** Text files that users keep beside their adapters. */
const TEXT = /\.(md|txt|json|jsonl|ya?ml|toml|csv|log|html?|py|sh)$/i;

/** Number of entries of a directory that are looked into. */
const LOOKED_INTO = 100;

/** @throws {AppError} adapter_invalid, with what the entry is and how to load it. */
export async function assertNotForeign(path: string, isDirectory: boolean): Promise<undefined> {
  const notice = isDirectory ? await directoryNotice(path) : await fileNotice(path);
  if (notice !== null) throw new AppError("adapter_invalid", `${basename(path)} is not imported: ${notice}`);
  return undefined;
}

async function directoryNotice(path: string): Promise<string | null> {
  const names = await readdir(path).catch(() => []); // a directory of another user is ignored
  const mosara = names.find((name) => name.endsWith(ADAPTER_EXTENSION));
  if (mosara !== undefined)
    return `it is a directory, and files in it (${mosara}) are not read. Move them up, or name this directory with --adapters.`;
  const peft = await firstPeftDirectory(path, names.slice(0, LOOKED_INTO));
  if (peft !== undefined)
    return `it is a directory, and the PEFT adapter in it (${peft}) is not read. Move it up, or name this directory with --adapters.`;
  const tensors = names.find((name) => /^adapter_model\.(safetensors|bin)$/.test(name));
  return tensors === undefined ? null : `it has ${tensors} but no adapter_config.json, which a PEFT adapter needs.`;
}

async function firstPeftDirectory(path: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) if (await isPeftDirectory(join(path, name))) return name;
  return undefined;
}

async function fileNotice(path: string): Promise<string | null> {
  const head = TEXT.test(path) ? null : await headOf(path);
  if (head === null || head.length === 0) return null;
  if (isMosaraFile(head)) {
    const isTemporary = basename(path).includes(ADAPTER_EXTENSION); // a file of an editor or a download
    return isTemporary ? null : `it is a .mosara file under another name. Name it <adapter>${ADAPTER_EXTENSION}.`;
  }
  return foreignFileNotice(head, { namesOrdinary: false });
}

/** The first bytes of a regular file; null for anything else, and where it cannot be read. Never waits for a pipe. */
async function headOf(path: string): Promise<Uint8Array | null> {
  try {
    await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!(await handle.stat()).isFile()) return null;
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(FOREIGN_HEAD_BYTES), 0, FOREIGN_HEAD_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } catch {
    return null; // nothing here looks like an adapter
  }
}
