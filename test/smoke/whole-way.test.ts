/**
 * The smallest whole way on the CPU, and a short training. `npm run smoke:node` runs it on other versions of Node; it
 * must stay small. Needs dist/.
 */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { mosara, tempDir } from "../helpers/server.ts";
import { serveOn } from "../helpers/whole-way.ts";

const TIMEOUT_MS = 240_000;

describe("mosara on the CPU", () => {
  it("builds, serves and ends", { timeout: TIMEOUT_MS }, () => serveOn("cpu", "float32"));

  it("trains an adapter", { timeout: TIMEOUT_MS }, async () => {
    const root = join(import.meta.dirname, "../..");
    const [data, out] = [join(root, "docs/demo/butler.jsonl"), join(tempDir(), "butler.mosara")];
    const trained = await mosara(
      "train",
      "--model",
      join(root, "models/demo"),
      "--data",
      data,
      "--steps",
      "2",
      "--out",
      out,
    );
    expect(trained.code, trained.stderr).toBe(0);
  });
});
