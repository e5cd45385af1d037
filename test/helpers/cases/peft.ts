/** A PEFT adapter with other names or settings in its files: the adapter that the golden one is, or a refusal. */
import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { adapterOfPeftAlone } from "../../../src/adapter/peft.ts";
import { readPeftFiles } from "../../../src/store/directory/directory-files.ts";
import { type TensorEdit, editSafetensors } from "../models/edit-safetensors.ts";
import { fixturesDir, readJson } from "../fixtures.ts";
import { tempDir } from "../server.ts";

interface PeftCase {
  /** A folder of a golden model's adapters. */
  readonly from: string;
  readonly tensors?: readonly TensorEdit[];
  /** Settings that replace those of adapter_config.json. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly right: { readonly same: true } | { readonly refused: string };
}

const MAX_BYTES = 2 ** 26;

export async function check(value: unknown): Promise<void> {
  const { from, tensors = [], config = {}, right } = value as PeftCase;
  const golden = join(fixturesDir("models"), from);
  const dir = tempDir();
  cpSync(golden, dir, { recursive: true });
  const settings = readJson<Record<string, unknown>>(dir, "adapter_config.json");
  writeFileSync(join(dir, "adapter_config.json"), JSON.stringify({ ...settings, ...config }));
  editSafetensors(join(dir, "adapter_model.safetensors"), tensors);
  const files = await readPeftFiles(dir, dir, MAX_BYTES);
  if ("refused" in right)
    return expect(() => adapterOfPeftAlone(files)).toThrow(
      expect.objectContaining({ code: "adapter_invalid", message: expect.stringContaining(right.refused) }),
    );
  const wanted = adapterOfPeftAlone(await readPeftFiles(golden, golden, MAX_BYTES));
  expect(adapterOfPeftAlone(files)).toEqual(wanted);
}
