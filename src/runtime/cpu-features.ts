/**
 * The features of this machine's CPU by which ONNX Runtime chooses its kernels. Source: its MLAS library, platform.cpp.
 */
import { readFile } from "node:fs/promises";
import { arch } from "node:process";

/** Under Linux's names. */
const DECIDING: ReadonlySet<string> = new Set(
  [
    "sse4_1 avx avx2 fma f16c avx_vnni avx512f avx512bw avx512dq avx512vl avx512_vnni avx512_bf16 avx512_fp16",
    "amx_tile amx_int8 amx_bf16 asimd asimdhp asimddp i8mm bf16 sve sve2 sme",
  ].flatMap((names) => names.split(" ")),
);

export interface CpuFacts {
  readonly arch: string;
  /** Sorted. Empty where the system does not name them. */
  readonly features: readonly string[];
}

export async function readCpuFacts(): Promise<CpuFacts> {
  const text = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  const line = /^(?:flags|Features)\s*:(.*)$/m.exec(text)?.[1] ?? "";
  const features = line.split(/\s+/).filter((flag) => DECIDING.has(flag));
  return { arch, features: [...new Set(features)].sort() };
}
