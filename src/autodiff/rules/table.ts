/**
 * The derivative table: every operator that can be differentiated.
 * A new operator is one entry in the file of its family.
 */
import type { RuleTable } from "../rule.ts";
import { attentionRules } from "./attention.ts";
import { elementwiseRules } from "./elementwise.ts";
import { indexingRules } from "./indexing.ts";
import { linearRules } from "./linear.ts";
import { normRules } from "./norm.ts";
import { reduceRules } from "./reduce.ts";
import { shapingRules } from "./shaping.ts";

export const RULES: RuleTable = {
  ...attentionRules,
  ...elementwiseRules,
  ...indexingRules,
  ...linearRules,
  ...normRules,
  ...reduceRules,
  ...shapingRules,
};
