/** What the system says of other processes. */
import { execFileSync } from "node:child_process";

/** Whether a process is there (a zombie is not). */
export function isAlive(pid: number): boolean {
  try {
    const state = execFileSync("ps", ["-o", "stat=", "-p", String(pid)], { stdio: ["ignore", "pipe", "ignore"] });
    return !state.toString().trim().startsWith("Z");
  } catch {
    return false;
  }
}

/** Ids of a process's children, oldest first. Process ids start again after the largest, so they tell no age. */
export function childrenOf(pid: number): number[] {
  try {
    const out = execFileSync("ps", ["-o", "pid=", "--sort=start_time", "--ppid", String(pid)], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    return out.toString().trim().split(/\s+/).filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
