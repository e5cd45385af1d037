/**
 * Writes a directory that is either complete or absent. It is filled under another name beside its place, then moved
 * there.
 */
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Fills a temporary directory and moves it to `out`. A leftover of a killed run of this process id is removed first.
 * @param fill writes the content; when it throws, the temporary directory goes and `out` stays as it was
 * @param place moves the filled directory to `out`; by default to where nothing is, or an empty directory
 */
export async function writeWholeDirectory(
  out: string,
  fill: (temporary: string) => Promise<void>,
  place: (temporary: string, out: string) => Promise<void> = placeInEmpty,
): Promise<void> {
  const temporary = `${out}.writing-${process.pid}`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  try {
    await fill(temporary);
    await place(temporary, out);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

async function placeInEmpty(temporary: string, out: string): Promise<void> {
  await mkdir(dirname(out), { recursive: true });
  await rm(out, { recursive: true, force: true }); // empty, as callers check
  await rename(temporary, out);
}
