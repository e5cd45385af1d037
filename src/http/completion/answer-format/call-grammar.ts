/**
 * The grammar of an answer that may call tools, as a structural tag. It covers forced calls, calls that are bound from
 * their mark on, and reasoning before a bound answer.
 */
import type { GrammarSpec } from "../../../grammar/grammar-spec.ts";
import { ARGUMENTS_MARK, type CallFormat } from "./call-format.ts";
import type { ReasoningFormat, ReasoningStart } from "./reasoning-format.ts";
import type { Tool, ToolUse } from "./tool-choice.ts";

type Format = Readonly<Record<string, unknown>>;

/** Only calls. */
export function forcedCalls({ tools, isParallel }: ToolUse, format: CallFormat): Format {
  if (format.shape !== "list")
    return {
      type: "tags_with_separator",
      tags: tools.map((tool) => callTag(tool, format)),
      separator: format.separator === "" ? "" : format.separator,
      at_least_one: true,
      stop_after_first: !isParallel,
    };
  const list = { type: "tags_with_separator", tags: tools.map((tool) => objectTag(tool, format, "", "")) };
  const calls = { ...list, separator: format.separator, at_least_one: true, stop_after_first: !isParallel };
  return { type: "sequence", elements: [constant(`${format.open}[`), calls, constant(`]${format.close}`)] };
}

/**
 * Free text, in which a call is bound from its mark on. A strict tool's call is bound to its schema, any other call to
 * an object. If the format has no mark, an answer that begins like a call is a call.
 */
export function boundCalls(asked: ToolUse, format: CallFormat): Format {
  const tools = asked.tools.map((tool) => (tool.isStrict ? tool : { ...tool, parameters: null }));
  const use = { ...asked, tools };
  if (format.mark === "")
    return { type: "or", elements: [forcedCalls(use, format), { type: "regex", pattern: NO_CALL }] };
  const isList = format.shape === "list";
  const tags = isList ? [listTag(use, format)] : use.tools.map((tool) => callTag(tool, format));
  return { type: "triggered_tags", triggers: [format.mark], tags, stop_after_first: !use.isParallel };
}

/** Text that cannot be the beginning of a call without a mark. */
const NO_CALL = "([^{<\\s][\\s\\S]*)?";

function callTag(tool: Tool, format: CallFormat): Format {
  if (format.shape === "named")
    return {
      type: "tag",
      begin: `${format.open}${tool.name}${ARGUMENTS_MARK}`,
      content: schemaOf(tool),
      end: format.close,
    };
  return objectTag(tool, format, format.open, format.close);
}

function objectTag(tool: Tool, { argumentsKey }: CallFormat, open: string, close: string): Format {
  const begin = `${open}{"name": ${JSON.stringify(tool.name)}, "${argumentsKey}": `;
  return { type: "tag", begin, content: schemaOf(tool), end: `}${close}` };
}

function listTag(use: ToolUse, format: CallFormat): Format {
  const { tools, isParallel } = use;
  const tags = tools.map((tool) => objectTag(tool, format, "", ""));
  const { separator, open, close } = format;
  const calls = { type: "tags_with_separator", tags, separator, at_least_one: true, stop_after_first: !isParallel };
  return { type: "tag", begin: `${open}[`, content: calls, end: `]${close}` };
}

/** The arguments of a tool that declares none are an empty object. */
function schemaOf({ parameters }: Tool): Format {
  return { type: "json_schema", json_schema: parameters ?? { type: "object" } };
}

const constant = (value: string): Format => ({ type: "const_string", value });

/** Another grammar as a part of a structural tag. */
export function asFormat({ kind, text }: GrammarSpec): Format {
  switch (kind) {
    case "json-object":
      return { type: "json_schema", json_schema: { type: "object" } };
    case "json-schema":
      return { type: "json_schema", json_schema: JSON.parse(text) as unknown };
    case "regex":
      return { type: "regex", pattern: text };
    case "choice":
      return { type: "or", elements: (JSON.parse(text) as string[]).map(constant) };
    case "gbnf":
      return { type: "grammar", grammar: text };
    case "structural-tag": {
      const tag = JSON.parse(text) as Format;
      return (tag.format ?? tag) as Format;
    }
  }
}

/**
 * An answer that is bound after its reasoning. If the prompt has opened the reasoning, it must end. Otherwise the
 * reasoning may be left out.
 */
export function afterReasoning(format: Format, { begin, end }: ReasoningFormat, start: ReasoningStart): Format {
  if (start === "closed") return format;
  const space = { type: "regex", pattern: "\\n{0,2}" };
  const thought = { type: "tag", begin: start === "open" ? "" : begin, content: { type: "any_text" }, end };
  const reasoning = { type: "sequence", elements: [thought, space] };
  return {
    type: "sequence",
    elements: [start === "open" ? reasoning : { type: "optional", content: reasoning }, format],
  };
}

export const asSpec = (format: Format, like: GrammarSpec | null): GrammarSpec => ({
  kind: "structural-tag",
  text: JSON.stringify({ type: "structural_tag", format }),
  ...(like?.whitespace === undefined ? {} : { whitespace: like.whitespace }),
});
