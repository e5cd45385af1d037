/** Memory and processor time of running processes, as Linux reports it. Knows nothing of the processes' work. */
import { readFileSync } from "node:fs";

export interface ProcessMemory {
  /** Bytes that are the process's own: heap, native memory, stacks. */
  readonly ownBytes: number;
  /** All that is resident, pages of mapped files included, which the system can take back at any time. */
  readonly residentBytes: number;
}

/** @throws {Error} where there is no /proc, or no such process */
export function memoryOf(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytesOf = (name: string): number => 1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
  return { ownBytes: bytesOf("RssAnon") + bytesOf("RssShmem"), residentBytes: bytesOf("VmRSS") };
}

/** Ids of a process's children, oldest first. */
export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.trim().split(/\s+/).filter(Boolean).map(Number);
}

/** Clock ticks of a second in /proc: the same on every Linux that Node.js runs on. */
const TICKS = 100;

/** Processor time of a process and its children, without those of them that have ended. */
export function cpuSecondsOf(pid: number): number {
  return [pid, ...childrenOf(pid)].reduce((sum, one) => {
    const fields = readFileSync(`/proc/${one}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS; // utime and stime
  }, 0);
}
