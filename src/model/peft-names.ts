/** PEFT's names of a model's linear layers: the family's own module paths. */
import type { PeftNames } from "../adapter/peft.ts";
import { foreignNames } from "./families.ts";
import { allLinears } from "./linears.ts";
import type { ModelConfig } from "./config/model-config.ts";
import { linearWeight } from "./weight-names.ts";

/** The module paths of a model, in both directions. */
export function peftNames(config: ModelConfig): PeftNames {
  const { namesOf, isTransposed } = foreignNames(config);
  const linears = allLinears(config).map(({ name }) => ({ name, paths: namesOf(linearWeight(name)).map(withoutPart) }));
  const byPath = new Map(linears.flatMap(({ name, paths }) => paths.map((path) => [path, name] as const)));
  const byName = new Map(linears.map(({ name, paths }) => [name, paths[0]]));
  return {
    linearAt: (path) => byPath.get(path),
    pathOf: (linear) => byName.get(linear) ?? withoutPart(linearWeight(linear)),
    isTransposed: linears.some(({ name }) => isTransposed(linearWeight(name))),
  };
}

function withoutPart(tensor: string): string {
  return tensor.replace(/\.weight$/, "");
}
