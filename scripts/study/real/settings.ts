/**
 * What the study on real models compares, in the order in which it is run: after any stop there is a readable table.
 * Every method has the trainer's own rate.
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

export const REAL_SETTINGS: readonly Setting[] = [
  { ...NEUTRAL, name: DEFAULTS, method: "mo-sara", targets: "default" },
  { ...NEUTRAL, name: REFERENCE, method: "lora", targets: "q,v", rank: 8 },
  { ...NEUTRAL, name: LORA_EVERYWHERE, method: "lora", targets: "all linear", rank: 8 },
  { ...NEUTRAL, name: SARA_EQUAL, method: "sara", targets: "q,v", equalTo: 8 },
  moSara("q,v", 0.25),
  moSara(DEFAULT_TARGETS, 0.25, 5),
  moSara(DEFAULT_TARGETS, 0.1),
  moSara(DEFAULT_TARGETS, 0.5),
  moSara("q,v", 0.25, 5),
  moSara("all linear", 0.25),
];
