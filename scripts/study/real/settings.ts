/**
 * What the study on real models compares, in the order in which it is run: after any stop there is a readable table.
 * Every method has the trainer's own rate, and some have others too.
 */
import { REFERENCE, type Setting, moSaraName } from "../settings.ts";

const DEFAULT_TARGETS = "q,v,o,down";
const NEUTRAL = { threshold: null, heads: 1, rank: null, equalTo: null, rate: null, numSeeds: 1 } as const;

/** `mosara train` with nothing chosen: Mo-SARA with one head on the base's own targets, threshold 0.25. */
export const DEFAULTS = "defaults: Mo-SARA n=1, q,v,o,down, m=0.25";
export const LORA_EVERYWHERE = "LoRA r=8, all linear";
export const SARA_EQUAL = "SARA, q,v, as many numbers as LoRA r=8";

function moSara(targets: string, threshold: number, heads = 1): Setting {
  return { ...NEUTRAL, name: moSaraName(targets, threshold, heads), method: "mo-sara", targets, threshold, heads };
}

const lora = (name: string, targets: string): Setting => ({ ...NEUTRAL, name, method: "lora", targets, rank: 8 });
const defaults: Setting = { ...NEUTRAL, name: DEFAULTS, method: "mo-sara", targets: "default" };
const sara: Setting = { ...NEUTRAL, name: SARA_EQUAL, method: "sara", targets: "q,v", equalTo: 8 };

/** A third or a half of the trainer's rate, and two or three times as much: no method may win by its rate alone. */
const OTHER_RATES: readonly (readonly [Setting, readonly number[]])[] = [
  [lora(REFERENCE, "q,v"), [0.003, 0.03]],
  [lora(LORA_EVERYWHERE, "all linear"), [0.003]],
  [sara, [0.01, 0.1]],
  [defaults, [0.1, 0.4]],
];

export const REAL_SETTINGS: readonly Setting[] = [
  defaults,
  lora(REFERENCE, "q,v"),
  lora(LORA_EVERYWHERE, "all linear"),
  sara,
  moSara("q,v", 0.25),
  moSara(DEFAULT_TARGETS, 0.25, 5),
  moSara(DEFAULT_TARGETS, 0.1),
  moSara(DEFAULT_TARGETS, 0.5),
  moSara("q,v", 0.25, 5),
  moSara("all linear", 0.25),
  ...OTHER_RATES.flatMap(([setting, rates]) =>
    rates.map((rate) => ({ ...setting, name: `${setting.name}, rate ${rate}`, rate })),
  ),
];

/**
 * The setting with this name; of a text that is no setting's name, those that have it in their names.
 * @throws Error where there are none.
 */
export function settingsOf(text: string): readonly Setting[] {
  const named = REAL_SETTINGS.filter(({ name }) => name === text);
  const found = named.length > 0 ? named : REAL_SETTINGS.filter(({ name }) => name.includes(text));
  if (found.length === 0)
    throw new Error(`no setting's name has ${text}. They are: ${REAL_SETTINGS.map(({ name }) => name).join("; ")}`);
  return found;
}
