/** Adapters are bound to a base by its id, so a model must keep the id that earlier versions of the program gave it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openBase } from "../../src/base/base.ts";
import { baseIdOf, tensorDigest } from "../../src/base/identity.ts";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { parseModelConfig } from "../../src/model/families.ts";
import { requiredTensors } from "../../src/model/required-tensors.ts";
import { LM_HEAD } from "../../src/model/weight-names.ts";

it("gives the shipped model the id that its adapters were trained for", async () => {
  const dir = join(packageRoot(), "models", "demo");
  await using base = await openBase(dir);
  const config = parseModelConfig(JSON.parse(readFileSync(join(dir, "config.json"), "utf8")));
  const names = requiredTensors(config, base.source.has(LM_HEAD)).map(({ name }) => name);
  const digests = [];
  for (const name of names) digests.push(tensorDigest(name, await base.source.read(name)));
  expect(baseIdOf(config, digests)).toBe(base.manifest.baseId);
});
