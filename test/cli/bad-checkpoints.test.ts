/**
 * Checkpoints that are damaged in every way we know, given to the program as people give them: one clear line, no base
 * where one was asked for, nothing in the cache. Needs dist/.
 */
import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { LM_HEAD } from "../../src/model/weight-names.ts";
import { type HostTensor, hostTensor } from "../../src/tensor/host-tensor.ts";
import { TOY_CONFIG, writeCheckpoint } from "../helpers/models/checkpoints.ts";

const MAIN = join(packageRoot(), "dist", "mosara", "main.js");
const scratch = mkdtempSync(join(tmpdir(), "mosara-bad-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const Q_PROJ = "model.layers.0.self_attn.q_proj.weight";
const WEIGHTS = "model.safetensors";
type Tensors = Map<string, HostTensor>;

interface Header {
  [name: string]: { dtype: string; shape: number[]; data_offsets: [number, number] };
}

/** Rewrites the header of a safetensors file, with a length that may be another than its own. */
function rewriteHeader(dir: string, change: (header: Header) => string, length?: number): void {
  const bytes = readFileSync(join(dir, WEIGHTS));
  const end = 8 + Number(bytes.readBigUInt64LE(0));
  const text = Buffer.from(change(JSON.parse(bytes.toString("utf8", 8, end)) as Header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(length ?? text.length));
  writeFileSync(join(dir, WEIGHTS), Buffer.concat([size, text, bytes.subarray(end)]));
}

const tensors = (change: (all: Tensors) => void) => (dir: string) =>
  writeCheckpoint(dir, TOY_CONFIG, { change }).then(() => {});
const files = (change: (dir: string) => void, numShards?: number) => (dir: string) =>
  writeCheckpoint(dir, TOY_CONFIG, numShards === undefined ? {} : { numShards }).then(() => change(dir));

const DAMAGES: readonly [string, (dir: string) => Promise<void>, RegExp][] = [
  ["a missing tensor", tensors((all) => all.delete(Q_PROJ)), /lacks the tensor .*q_proj/],
  [
    "a wrong shape",
    tensors((all) => all.set(Q_PROJ, hostTensor("float32", [8, 16], new Float32Array(128)))),
    /q_proj.weight is stored as \[8,16\], but config.json requires \[16,16\]\.$/,
  ],
  [
    "a weight that is NaN",
    tensors((all) => all.set(Q_PROJ, hostTensor("float32", [16, 16], new Float32Array(256).fill(NaN)))),
    /q_proj.weight contains NaN/,
  ],
  ["an untied model without a head", tensors((all) => all.delete(LM_HEAD)), /lacks lm_head.weight/],
  [
    "a shard that is cut off",
    files((dir) => {
      const path = join(dir, "model-00001-of-2.safetensors");
      truncateSync(path, readFileSync(path).length - 10);
    }, 2),
    /model-00001-of-2/,
  ],
  [
    "an index that names files elsewhere",
    files((dir) => {
      const map = { weight_map: { [Q_PROJ]: "../secret.safetensors" } };
      writeFileSync(join(dir, "model.safetensors.index.json"), JSON.stringify(map));
    }, 2),
    /"\.\.\/secret.safetensors".*is not the name of a file/,
  ],
  ["a header longer than the file", files((dir) => rewriteHeader(dir, JSON.stringify, 2 ** 40)), /header/],
  ["a header that is no JSON", files((dir) => rewriteHeader(dir, () => '{"a": ')), /header/],
  [
    "a tensor that is named twice",
    files((dir) =>
      rewriteHeader(dir, (header) => {
        const text = JSON.stringify(header);
        return `${text.slice(0, -1)},${JSON.stringify(Q_PROJ)}:${JSON.stringify(header[Q_PROJ])}}`;
      }),
    ),
    /names "model.layers.0.self_attn.q_proj.weight" twice/,
  ],
  [
    "tensors that overlap",
    files((dir) =>
      rewriteHeader(dir, (header) => {
        const [first, second] = Object.values(header).filter(({ shape }) => shape.join() === "16,16");
        if (first && second) second.data_offsets = first.data_offsets;
        return JSON.stringify(header);
      }),
    ),
    /overlap|gap|behind/,
  ],
  [
    "an element type that nobody knows",
    files((dir) => rewriteHeader(dir, (header) => JSON.stringify(header).replace('"F32"', '"F3X"'))),
    /F3X/,
  ],
  [
    "a setting that is not supported",
    files((dir) => writeFileSync(join(dir, "config.json"), JSON.stringify({ ...TOY_CONFIG, hidden_act: "relu" }))),
    /hidden_act = "relu" is not supported/,
  ],
];

/** What a run of the program says on stderr. */
function run(args: readonly string[]): Promise<{ code: unknown; stderr: string }> {
  return new Promise((resolve) =>
    execFile(process.execPath, [MAIN, ...args], (error, _, stderr) => resolve({ code: error?.code ?? 0, stderr })),
  );
}

describe("a checkpoint with", () => {
  it.each(DAMAGES)("%s is refused in one line, and nothing is left behind", async (name, damage, message) => {
    const dir = join(scratch, name.replaceAll(" ", "-"));
    const [checkpoint, cache, out] = [join(dir, "checkpoint"), join(dir, "cache"), join(dir, "out")];
    mkdirSync(cache, { recursive: true });
    await damage(checkpoint);
    const runs = [
      ["build", checkpoint, "--out", out],
      ["serve", "--model", checkpoint, "--cache", cache, "--port", "0", "--data", join(dir, "data")],
    ];
    for (const args of runs) {
      const { code, stderr } = await run(args);
      expect(code, stderr).toBe(1);
      const said = stderr.split(/[\r\n]+/).filter((line) => line !== "" && !/^(building|[a-z]+): .*( s|%)$/.test(line));
      expect(said, stderr).toHaveLength(1);
      expect(said[0]).toMatch(message);
    }
    expect(existsSync(out)).toBe(false);
    expect(readdirSync(cache)).toEqual([]);
    expect(readdirSync(dir).filter((entry) => entry.startsWith("out"))).toEqual([]);
  });
});
