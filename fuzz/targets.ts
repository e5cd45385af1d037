/** Every parser of bytes from outside. */
import type { Target } from "./target.ts";
import { ADAPTER_TARGETS } from "./targets/adapters.ts";
import { CHECKPOINT_TARGETS } from "./targets/checkpoints.ts";
import { ENGINE_TARGETS } from "./targets/engine.ts";
import { GRAMMAR_TARGETS } from "./targets/grammars.ts";
import { PLANTED_TARGETS } from "./targets/planted.ts";
import { REQUEST_TARGETS } from "./targets/requests.ts";
import { SETTING_TARGETS } from "./targets/settings.ts";
import { TEXT_TARGETS } from "./targets/texts.ts";

export const TARGETS: readonly Target[] = [
  ...REQUEST_TARGETS,
  ...ADAPTER_TARGETS,
  ...CHECKPOINT_TARGETS,
  ...TEXT_TARGETS,
  ...GRAMMAR_TARGETS,
  ...ENGINE_TARGETS,
  ...SETTING_TARGETS,
];

/** @throws for a name that no target has */
export function targetNamed(name: string): Target {
  const found = [...TARGETS, ...PLANTED_TARGETS].find((target) => target.name === name);
  if (found === undefined)
    throw new Error(`no target is called "${name}". Targets: ${TARGETS.map((target) => target.name).join(", ")}`);
  return found;
}
