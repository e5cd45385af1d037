/** The formats of calls and of reasoning of one model, found from its chat templates or set by flags. */
import { type CallFormat, callFormatOf } from "./call-format.ts";
import { findReasoningFormat, type ReasoningFormat, reasoningFormatOf } from "./reasoning-format.ts";
import { probeTemplate } from "./template-probe.ts";

export interface AnswerFormats {
  /** Whether the template that is used for tools shows them to the model. */
  readonly takesTools: boolean;
  /** null: the format of calls is not known. */
  readonly calls: CallFormat | null;
  /** null: reasoning is part of the text. */
  readonly reasoning: ReasoningFormat | null;
  /** Whether the template reads `reasoning_effort`, and `enable_thinking`. */
  readonly hasReasoningEffort: boolean;
  readonly hasEnableThinking: boolean;
  /** Names of the templates that read `documents`. */
  readonly documentTemplates: ReadonlySet<string>;
  /** Special tokens that are marks of the formats. Their text is needed. */
  readonly markIds: ReadonlySet<number>;
}

/** "auto": found from the template. "none": not looked for. */
export interface FormatFlags {
  readonly toolCallParser: string;
  readonly reasoningParser: string;
}

interface Vocabulary {
  tokenToId(token: string): number | undefined;
  isSpecial(id: number): boolean;
}

/** @param templates sources by name; the template for tools is "tool_use", otherwise "default" */
export function findAnswerFormats(
  templates: ReadonlyMap<string, string>,
  vocabulary: Vocabulary,
  { toolCallParser, reasoningParser }: FormatFlags,
): AnswerFormats {
  const plain = templates.get("default") ?? "";
  const forTools = templates.get("tool_use") ?? plain;
  const abilities = probeTemplate(forTools);
  const calls = chosen(toolCallParser, callFormatOf, () => abilities.calls);
  const reasoning = chosen(reasoningParser, reasoningFormatOf, () => findReasoningFormat(plain || forTools));
  const marks = [calls?.mark, calls?.prefix, calls?.close.trim(), reasoning?.begin, reasoning?.end];
  const more = calls?.shape === "named" ? ["[ARGS]", "[CALL_ID]"] : [];
  const ids = [...marks, ...more].flatMap((mark) => (mark ? (vocabulary.tokenToId(mark) ?? []) : []));
  return {
    takesTools: abilities.takesTools,
    calls,
    reasoning,
    hasReasoningEffort: /\breasoning_effort\b/.test(plain + forTools),
    hasEnableThinking: /\benable_thinking\b/.test(plain + forTools),
    documentTemplates: new Set([...templates].flatMap(([name, text]) => (/\bdocuments\b/.test(text) ? [name] : []))),
    markIds: new Set(ids.filter((id) => vocabulary.isSpecial(id))),
  };
}

function chosen<T>(flag: string, named: (name: string) => T, find: () => T | null): T | null {
  if (flag === "none") return null;
  return flag === "auto" ? find() : named(flag);
}
