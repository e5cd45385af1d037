/** The circumstances of a measurement: machine, commit, command and day. They stand above every table of results. */
import { spawnSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { type CpuFacts, readCpuFacts } from "../../src/runtime/cpu-features.ts";

export interface Circumstances {
  readonly cpu: string;
  /** The instructions that decide the speed of products. */
  readonly cpuKind: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly node: string;
  readonly platform: string;
  /** Abbreviated; "" outside of a checkout. */
  readonly commit: string;
  readonly command: string;
  readonly date: string;
}

export async function circumstances(command: string): Promise<Circumstances> {
  const commit = spawnSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).stdout?.trim() ?? "";
  const [cpu] = cpus();
  return {
    cpu: cpu?.model.trim() ?? "unknown",
    cpuKind: cpuKindOf(await readCpuFacts()),
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    commit,
    command: [command, ...process.argv.slice(2)].join(" "),
    date: new Date().toISOString().slice(0, 10),
  };
}

/** The kinds by the feature that tells each from those below it. */
const KINDS = [
  ["amx_int8", "AVX-512 VNNI and AMX"],
  ["avx512_vnni", "AVX-512 VNNI"],
  ["avx512f", "AVX-512"],
  ["avx_vnni", "AVX2 VNNI"],
  ["avx2", "AVX2"],
] as const;

/** The kind of a CPU in words. */
export function cpuKindOf({ arch, features }: CpuFacts): string {
  return KINDS.find(([feature]) => features.includes(feature))?.[1] ?? arch;
}

/** One line that says all of it. */
export function headline(where: Circumstances): string {
  return `${machineText(where)}; commit ${where.commit}; \`${where.command}\``;
}

export function machineText({ cpu, cpuKind, cores, memoryBytes, node, platform }: Circumstances): string {
  return `${cores} cores (${cpu}, ${cpuKind}), ${(memoryBytes / 2 ** 30).toFixed(0)} GiB, Node ${node}, ${platform}`;
}
