/** `mosara compress` through the built program, on the demo. Needs dist/. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { decodeAdapter, generationOf } from "../../src/adapter/adapter-file.ts";
import type { CompressResult } from "../../src/cli/compress/result-text.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";

const MAIN = join(packageRoot(), "dist", "mosara", "main.js");
const BASE = join(packageRoot(), "models", "demo");
const TERSE = join(packageRoot(), "adapters", "terse.mosara");
const dir = mkdtempSync(join(tmpdir(), "mosara-compress-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const mosara = (...args: readonly string[]) =>
  spawnSync(process.execPath, [MAIN, ...args, "--model", BASE], { encoding: "utf8" });

const days = ["Monday", "Tuesday", "Friday"];
const data = join(dir, "data.jsonl");
writeFileSync(
  data,
  Array.from({ length: 30 }, (_, i) => {
    const question = `${i % 2 ? "Hello, " : ""}can I visit the shop on ${days[i % 3]}? Order ${37000 + i}.`;
    return `${JSON.stringify({
      messages: [
        { role: "user", content: question },
        { role: "assistant", content: `${days[i % 3]}: 9 to 17.` },
      ],
    })}\n`;
  }).join(""),
);

it("projects a LoRA that is a Mo-SARA adapter exactly back to it", () => {
  const peft = join(dir, "peft");
  expect(mosara("export", TERSE, "--out", peft).status).toBe(0);
  const out = join(dir, "terse.mosara");
  const { status, stdout, stderr } = mosara("compress", peft, "--data", data, "--steps", "1", "--out", out, "--json");
  expect(status, stderr).toBe(0);
  const result = JSON.parse(stdout) as CompressResult;
  expect(result.klBase).toBeGreaterThan(0.1);
  expect(Math.abs(result.klProjected)).toBeLessThan(1e-4);
  expect(Math.abs(result.lossCompressed - result.lossOriginal)).toBeLessThan(1e-3);
  const bytes = readFileSync(out);
  const adapter = decodeAdapter(bytes);
  expect(adapter.method).toBe("mo-sara");
  expect(result).toMatchObject({ generation: generationOf(bytes), bytes: bytes.length });
  expect(result.numParams).toBeLessThan(result.originalParams / 50);
});

it("brings another method's adapter closer by distillation, and refuses what is small already", () => {
  const sara = join(packageRoot(), "adapters", "cheerful.mosara");
  const out = join(dir, "cheerful.mosara");
  const { status, stdout, stderr } = mosara("compress", sara, "--data", data, "--steps", "12", "--out", out, "--json");
  expect(status, stderr).toBe(0);
  const { klBase, klProjected, klCompressed } = JSON.parse(stdout) as CompressResult;
  expect(klProjected).toBeLessThan(klBase);
  expect(klCompressed).toBeLessThan(0.5 * klProjected);
  const refused = mosara("compress", TERSE, "--data", data, "--out", out);
  expect(refused.status).toBe(2);
  expect(refused.stderr).toContain("is a Mo-SARA adapter already");
});
