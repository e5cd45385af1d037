/** Chooses the linear layers that get a basis: by the last part of their names, or by a default. Pure. */
import { AppError } from "../../errors.ts";
import { type Linear, allLinears, defaultTargets } from "../../model/linears.ts";
import type { ModelConfig } from "../../model/config/model-config.ts";

/** null: the family's default; "none"; "all-linear"; or names such as "q_proj" and "layers.0.self_attn.q_proj". */
export type TargetChoice = null | "none" | "all-linear" | readonly string[];

/** The chosen layers in the model's order. @throws {AppError} usage where a given name matches no layer */
export function chooseTargets(config: ModelConfig, choice: TargetChoice): readonly Linear[] {
  const linears = allLinears(config);
  if (choice === "none") return [];
  if (choice === "all-linear") return linears;
  const matches = (linear: Linear, name: string): boolean => linear.name === name || linear.name.endsWith(`.${name}`);
  const names = choice ?? defaultTargets(config);
  if (choice)
    for (const name of names)
      if (!linears.some((linear) => matches(linear, name))) {
        const known = [...new Set(linears.map((linear) => linear.name.split(".").at(-1)))].join(", ");
        throw new AppError("usage", `--targets: ${name} matches no linear layer. Known: ${known}, all-linear, none.`);
      }
  return linears.filter((linear) => names.some((name) => matches(linear, name)));
}

/** The choice that `--targets` names; null where the flag was not given. @throws {AppError} usage */
export function targetChoice(names: readonly string[] | null): TargetChoice {
  if (names === null) return null;
  const word = names.find((name) => name === "none" || name === "all-linear");
  if (word === undefined) return names;
  if (names.length > 1)
    throw new AppError("usage", `--targets ${word} cannot be combined with other names, found ${names.join(",")}.`);
  return word as "none" | "all-linear";
}
