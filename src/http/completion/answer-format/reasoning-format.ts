/** The marks around a model's reasoning, as its chat template writes them. */

export interface ReasoningFormat {
  readonly name: string;
  readonly begin: string;
  readonly end: string;
}

const FORMATS: readonly ReasoningFormat[] = [
  { name: "think", begin: "<think>", end: "</think>" },
  { name: "mistral", begin: "[THINK]", end: "[/THINK]" },
  { name: "thinking", begin: "<|START_THINKING|>", end: "<|END_THINKING|>" },
  { name: "thought", begin: "<thought>", end: "</thought>" },
  { name: "reasoning", begin: "<reasoning>", end: "</reasoning>" },
];

/** @throws for a name that is not in the list */
export function reasoningFormatOf(name: string): ReasoningFormat {
  const format = FORMATS.find((one) => one.name === name);
  if (!format) throw new Error(`internal: no format of reasoning is called ${name}`);
  return format;
}

/** null: the template shows no reasoning. */
export function findReasoningFormat(template: string): ReasoningFormat | null {
  return FORMATS.find(({ end }) => template.includes(end)) ?? null;
}

/**
 * Where an answer begins: inside of reasoning that the prompt has opened, after reasoning that the prompt has closed,
 * or neither.
 */
export type ReasoningStart = "open" | "closed" | "none";

/** @param tail the last characters of a prompt */
export function reasoningStart(tail: string, { begin, end }: ReasoningFormat): ReasoningStart {
  const rest = tail.trimEnd();
  if (rest.endsWith(begin)) return "open";
  return rest.endsWith(end) ? "closed" : "none";
}
