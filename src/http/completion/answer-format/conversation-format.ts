/**
 * How the answer to one conversation is read, and how it is bound. It combines the tools, the reasoning and the
 * grammar.
 */
import { AppError } from "../../../errors.ts";
import type { GrammarSpec } from "../../../grammar/grammar-spec.ts";
import type { AppContext, Text } from "../../context.ts";
import { invalid } from "../../error-response.ts";
import { checkedGrammar } from "../grammar.ts";
import type { Prompt } from "../prompts.ts";
import type { ChatRequest } from "../request-schema.ts";
import { AnswerSplitter } from "./answer-splitter.ts";
import { afterReasoning, asFormat, asSpec, boundCalls, forcedCalls } from "./call-grammar.ts";
import type { CallFormat } from "./call-format.ts";
import { type ReasoningStart, reasoningStart } from "./reasoning-format.ts";
import { readToolUse, type ToolUse } from "./tool-choice.ts";

export interface ConversationFormat {
  /** The grammar of the whole answer; null: it is free. */
  readonly grammar: GrammarSpec | null;
  /** Special tokens whose text is needed. */
  readonly markIds: ReadonlySet<number>;
  readonly newSplitter: () => AnswerSplitter;
}

type Fields = Pick<
  ChatRequest,
  "tools" | "tool_choice" | "parallel_tool_calls" | "continue_final_message" | "separate_reasoning"
>;

/** Number of tokens at the end of a prompt in which a mark of reasoning is looked for. */
const TAIL_TOKENS = 32;

/** @param grammar that the request binds its answer to @throws {AppError} invalid_request, unsupported_parameter */
export function conversationFormat(
  { text }: Pick<AppContext, "text">,
  fields: Fields,
  prompts: readonly Prompt[],
  grammar: GrammarSpec | null,
): ConversationFormat {
  const { markIds } = text.formats;
  const reasoning = fields.separate_reasoning === false ? null : text.formats.reasoning;
  const use = readToolUse(fields);
  const calls = callsFor(text, use);
  const start = reasoning === null ? "none" : startOf(text, prompts, fields);
  const bound = calls === null ? grammar && asFormat(grammar) : boundAnswer(use, calls, grammar);
  const isAsAsked = bound === null || (calls === null && (reasoning === null || start === "closed"));
  const whole = bound !== null && reasoning !== null ? afterReasoning(bound, reasoning, start) : bound;
  return {
    grammar: isAsAsked || whole === null ? grammar : checkedGrammar(asSpec(whole, grammar), "tools"),
    markIds: calls === null && reasoning === null ? NO_IDS : markIds,
    newSplitter: () =>
      new AnswerSplitter({
        calls,
        toolNames: new Set(use.tools.map(({ name }) => name)),
        isParallel: use.isParallel,
        reasoning,
        start,
      }),
  };
}

const NO_IDS: ReadonlySet<number> = new Set();

/** An answer that is only text. */
export function plainFormat(grammar: GrammarSpec | null): ConversationFormat {
  const nothing = {
    calls: null,
    toolNames: new Set<string>(),
    isParallel: false,
    reasoning: null,
    start: "none",
  } as const;
  return { grammar, markIds: NO_IDS, newSplitter: () => new AnswerSplitter(nothing) };
}

/**
 * The format in which calls are read. null: there are no tools, or the format is not known, so that calls stay text.
 * @throws {AppError} unsupported_parameter: the template does not show tools to the model, or a grammar would need the
 * format of calls and it is not known
 */
export function callsFor({ formats }: Text, use: ToolUse): CallFormat | null {
  if (use.tools.length === 0) return null;
  if (!formats.takesTools)
    throw new AppError(
      "unsupported_parameter",
      "The model's chat template does not show tools to the model. Serve a model whose template does (Qwen, Llama 3.1 and later, Mistral, SmolLM3), or give a template with --chat-template.",
      { param: "tools" },
    );
  const isBound = use.isForced || use.tools.some(({ isStrict }) => isStrict);
  if (formats.calls !== null || !isBound) return formats.calls;
  throw new AppError(
    "unsupported_parameter",
    "The model's chat template does not show in which format the model writes calls, so a call cannot be forced. Name the format with --tool-call-parser.",
    { param: "tools" },
  );
}

function boundAnswer(use: ToolUse, calls: CallFormat, grammar: GrammarSpec | null) {
  if (use.isForced) {
    if (grammar !== null)
      throw invalid(
        '"tool_choice" forces a call, and another field binds the answer. Send one of them.',
        "tool_choice",
      );
    return forcedCalls(use, calls);
  }
  if (grammar !== null) return { type: "or", elements: [forcedCalls(use, calls), asFormat(grammar)] };
  const isStrict = use.tools.some((tool) => tool.isStrict);
  return isStrict ? boundCalls(use, calls) : null;
}

function startOf(
  text: Text,
  prompts: readonly Prompt[],
  { continue_final_message: continues }: Fields,
): ReasoningStart {
  const { reasoning } = text.formats;
  const [prompt] = prompts;
  if (reasoning === null || prompt === undefined) return "none";
  const bytes = Array.from(prompt.ids.slice(-TAIL_TOKENS), (id) => text.bytesOf(id));
  const start = reasoningStart(new TextDecoder().decode(Buffer.concat(bytes)), reasoning);
  return continues === true && start === "none" ? "closed" : start;
}
