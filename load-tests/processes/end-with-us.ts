/** Programs that this process has started end with it, also after Ctrl-C. */
import type { ChildProcess } from "node:child_process";

const children = new Set<{ readonly child: ChildProcess; readonly isGroup: boolean }>();

process.on("exit", () => {
  for (const { child, isGroup } of children) {
    if (child.pid === undefined) continue;
    try {
      process.kill(isGroup ? -child.pid : child.pid, "SIGKILL");
    } catch {
      // It ended at this moment.
    }
  }
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

/** @param isGroup the child leads a process group, which is ended as a whole */
export function endWithUs(child: ChildProcess, isGroup = false): void {
  const entry = { child, isGroup };
  children.add(entry);
  child.once("exit", () => children.delete(entry));
}
