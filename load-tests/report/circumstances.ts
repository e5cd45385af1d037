/** The circumstances of a measurement: machine, commit, command and day. They stand above every table of results. */
import { spawnSync } from "node:child_process";
import { cpus, totalmem } from "node:os";

export interface Circumstances {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly node: string;
  readonly platform: string;
  /** Abbreviated; "" outside of a checkout. */
  readonly commit: string;
  readonly command: string;
  readonly date: string;
}

export function circumstances(command: string): Circumstances {
  const commit = spawnSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).stdout?.trim() ?? "";
  const [cpu] = cpus();
  return {
    cpu: cpu?.model.trim() ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    commit,
    command: [command, ...process.argv.slice(2)].join(" "),
    date: new Date().toISOString().slice(0, 10),
  };
}

/** One line that says all of it. */
export function headline(where: Circumstances): string {
  return `${machineText(where)}; commit ${where.commit}; \`${where.command}\``;
}

export function machineText({ cpu, cores, memoryBytes, node, platform }: Circumstances): string {
  return `${cores} cores (${cpu}), ${(memoryBytes / 2 ** 30).toFixed(0)} GiB, Node ${node}, ${platform}`;
}
