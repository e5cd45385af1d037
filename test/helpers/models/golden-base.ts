/** Bases of the model fixtures for tests of the whole program. */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BuildOptions } from "../../../src/base/build/build.ts";
import { builtBase } from "./bases.ts";
import { casesIn, fixturesDir, readJson } from "../fixtures.ts";

const scratch = mkdtempSync(join(tmpdir(), "mosara-golden-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

interface HfConfig {
  readonly model_type: string;
  readonly max_position_embeddings: number;
}

/** The first fixture whose architecture is plain Llama. */
export function llamaCheckpoint(): string {
  const models = fixturesDir("models");
  const name = casesIn(models, "config.json").find(
    (one) => readJson<HfConfig>(models, one, "config.json").model_type === "llama",
  );
  if (name === undefined) throw new Error(`no Llama in ${models}`);
  return join(models, name);
}

/** A base of that checkpoint whose context is longer than the fixture's, for long answers. */
export async function longLlamaBase(numPositions: number, options: Partial<BuildOptions> = {}): Promise<string> {
  const dir = join(scratch, `llama-${numPositions}`);
  cpSync(llamaCheckpoint(), dir, { recursive: true, force: true });
  const config = readJson<HfConfig>(dir, "config.json");
  writeFileSync(join(dir, "config.json"), JSON.stringify({ ...config, max_position_embeddings: numPositions }));
  return await builtBase(dir, options);
}
