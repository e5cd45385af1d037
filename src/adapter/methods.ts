/** The table of training methods. A new method is one file that implements `AdapterMethod` and one line here. */
import { lora } from "./lora.ts";
import type { AdapterMethod } from "./method.ts";
import { moSara } from "./mo-sara.ts";
import { sara } from "./sara.ts";

export const METHODS = { "mo-sara": moSara, sara, lora } as const satisfies Readonly<Record<string, AdapterMethod>>;
