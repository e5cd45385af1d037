/**
 * What the study compares: every method with its targets, its size and its learning rate, in the order in which they
 * are run. Data alone; runs.ts turns a setting into commands.
 */

/** Linear layers, as the tables call them and as `--targets` takes them. */
export const TARGETS = {
  "q,v": "q_proj,v_proj",
  "q,v,o,down": "q_proj,v_proj,o_proj,down_proj",
  "all linear": "all-linear",
} as const;

export type TargetsName = keyof typeof TARGETS;

/** One row of a table. */
export interface Setting {
  /** Unique; part of the key of every result. */
  readonly name: string;
  readonly method: "mo-sara" | "sara" | "lora" | "full";
  /**
   * What the adapter is on: a name of TARGETS, or the linears themselves in the runs layer by layer. "default": nothing
   * is chosen, neither targets nor anything else.
   */
  readonly targets: string;
  /** Of Mo-SARA's base and of SARA; null: has none, or (SARA) to be found for `equalTo`. */
  readonly threshold: number | null;
  readonly heads: number;
  readonly rank: number | null;
  /** Highest learning rate; null: the trainer's own. */
  readonly rate: number | null;
  readonly numSeeds: number;
  /** SARA at the largest threshold that needs no more numbers than LoRA of this rank. */
  readonly equalTo: number | null;
}

const ALL_TARGETS = Object.keys(TARGETS) as TargetsName[];
/** In the tables and figures, in rising order. */
export const THRESHOLDS = [0.1, 0.25, 0.5, 1];
export const HEADS = [2, 5, 10];
/** What every gain is measured against. */
export const REFERENCE = "LoRA r=8, q,v";
const NUM_SEEDS = 3;

/**
 * Rates: the best of facts known for models of this size (docs/log/2026-11.md); LoRA wants less the more layers it is
 * on.
 */
const RATES = { "mo-sara": 0.1, sara: 0.03, full: 0.001 } as const;
const LORA_RATES: Readonly<Record<TargetsName, number>> = { "q,v": 0.01, "q,v,o,down": 0.006, "all linear": 0.006 };

export const moSaraName = (targets: string, threshold: number, heads = 1): string =>
  `Mo-SARA n=${heads}, ${targets}, m=${threshold}`;

function moSara(targets: string, threshold: number, heads: number, numSeeds: number): Setting {
  const name = moSaraName(targets, threshold, heads);
  return { ...NEUTRAL, name, method: "mo-sara", targets, threshold, heads, rate: RATES["mo-sara"], numSeeds };
}

function lora(targets: TargetsName, rank: number): Setting {
  const name = `LoRA r=${rank}, ${targets}`;
  return { ...NEUTRAL, name, method: "lora", targets, rank, rate: LORA_RATES[targets], numSeeds: NUM_SEEDS };
}

const NEUTRAL = { threshold: null, heads: 1, rank: null, equalTo: null } as const;
const sara = (name: string, of: Partial<Setting>): Setting => ({
  ...NEUTRAL,
  name,
  method: "sara",
  targets: "q,v",
  rate: RATES.sara,
  numSeeds: 1,
  ...of,
});

/** Lower and higher than each method's rate, so that nobody has to believe in it. */
const OTHER_RATES: readonly (readonly [Setting, readonly number[]])[] = [
  [moSara("q,v,o,down", 0.5, 1, 1), [0.03, 0.4]],
  // What `mosara train` takes.
  [moSara("q,v,o,down", 0.5, 1, NUM_SEEDS), [0.2]],
  [moSara("all linear", 0.5, 1, NUM_SEEDS), [0.2]],
  [moSara("all linear", 1, 1, NUM_SEEDS), [0.2]],
  [sara("SARA, q,v, m=0.25", { threshold: 0.25 }), [0.01, 0.1]],
  [{ ...lora("q,v", 8), numSeeds: 1 }, [0.003, 0.03]],
];

const withOtherRates: readonly Setting[] = OTHER_RATES.flatMap(([setting, rates]) =>
  rates.map((rate) => ({ ...setting, name: `${setting.name}, rate ${rate}`, rate })),
);

/** Every row of the tables. The reference comes first: no gain can be told without it. */
export const SETTINGS: readonly Setting[] = [
  lora("q,v", 8),
  ...ALL_TARGETS.flatMap((targets) => THRESHOLDS.map((threshold) => moSara(targets, threshold, 1, NUM_SEEDS))),
  lora("q,v", 1),
  lora("all linear", 1),
  lora("all linear", 8),
  sara("SARA, q,v, as many numbers as LoRA r=8", { equalTo: 8 }),
  sara("SARA, q,v, as many numbers as LoRA r=1", { equalTo: 1 }),
  sara("SARA, q,v, m=0.25", { threshold: 0.25 }),
  moSara("q,v", 0.5, 5, 1),
  { ...NEUTRAL, name: "full", method: "full", targets: "all linear", rate: RATES.full, numSeeds: 1 },
  ...HEADS.filter((heads) => heads !== 5).map((heads) => moSara("q,v", 0.5, heads, 1)),
  ...withOtherRates,
];

/** Mo-SARA on the linears of one layer alone, for the figure of gains by layer. */
export function layerSetting(layer: number): Setting {
  const modules = ["self_attn.q_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.down_proj"];
  const targets = modules.map((module) => `layers.${layer}.${module}`).join(",");
  return { ...moSara(targets, 0.5, 1, 1), name: `Mo-SARA n=1, layer ${layer} alone, m=0.5` };
}

/** A few of them, one of each method. */
export const SMOKE_SETTINGS: readonly Setting[] = SETTINGS.filter(({ name }) =>
  [REFERENCE, moSaraName("q,v,o,down", 0.25), moSaraName("q,v", 0.5, 5), "SARA, q,v, m=0.25", "full"].includes(name),
).map((setting) => ({ ...setting, numSeeds: 1 }));

/** Whether the setting is one of the others at another rate: in the tables, but no point of a figure. */
export const isOtherRate = (setting: Setting): boolean => withOtherRates.includes(setting);

/**
 * Whether a setting's serving speed is worth measuring: the whole model serves as any bare base does, and a rate
 * changes nothing in it.
 */
export const hasSpeed = (setting: Setting): boolean => setting.method !== "full" && !isOtherRate(setting);
