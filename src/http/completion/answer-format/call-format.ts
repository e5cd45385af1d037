/**
 * The formats in which models write tool calls, as their chat templates teach them. Each format is a few marks around
 * JSON. A format has the name of vLLM's parser, if vLLM has one.
 */
import { randomBytes } from "node:crypto";

export interface CallFormat {
  readonly name: string;
  /** The text that announces calls. "": a call is the whole answer, and nothing announces it. */
  readonly mark: string;
  /** A mark that may stand before the calls. */
  readonly prefix: string;
  /** One object for each mark, a list of objects, or the name, `[ARGS]` and the arguments. */
  readonly shape: "object" | "list" | "named";
  /** The text before and after a call (an object, a name) or a list, as the template writes it. */
  readonly open: string;
  readonly close: string;
  /** The text between two calls. */
  readonly separator: string;
  readonly argumentsKey: "arguments" | "parameters";
  /** Mistral's templates accept only ids of nine letters and digits. */
  readonly hasShortIds: boolean;
}

const OBJECT = {
  prefix: "",
  shape: "object",
  argumentsKey: "arguments",
  hasShortIds: false,
} as const;
const LIST = { ...OBJECT, shape: "list", separator: ", " } as const;

/** Stands between a name and its arguments. */
export const ARGUMENTS_MARK = "[ARGS]";

export const CALL_FORMATS: readonly CallFormat[] = [
  {
    ...OBJECT,
    name: "hermes",
    mark: "<tool_call>",
    open: "<tool_call>\n",
    close: "\n</tool_call>",
    separator: "\n",
  },
  {
    ...OBJECT,
    name: "llama3_json",
    mark: "",
    prefix: "<|python_tag|>",
    open: "",
    close: "",
    separator: "; ",
    argumentsKey: "parameters",
  },
  { ...LIST, name: "mistral", mark: "[TOOL_CALLS]", open: "[TOOL_CALLS]", close: "", hasShortIds: true },
  {
    ...OBJECT,
    name: "mistral_args",
    mark: "[TOOL_CALLS]",
    shape: "named",
    open: "[TOOL_CALLS]",
    close: "",
    separator: "",
    hasShortIds: true,
  },
  { ...LIST, name: "granite", mark: "<|tool_call|>", open: "<|tool_call|>", close: "" },
  { ...LIST, name: "phi4_mini", mark: "<|tool_call|>", open: "<|tool_call|>", close: "<|/tool_call|>" },
  { ...LIST, name: "phi4_mini_json", mark: "functools", open: "functools", close: "" },
];

/** @throws for a name that is not in the list */
export function callFormatOf(name: string): CallFormat {
  const format = CALL_FORMATS.find((one) => one.name === name);
  if (!format) throw new Error(`internal: no format of calls is called ${name}`);
  return format;
}

/** The format that the marks in a chat template suggest (`template-probe.ts` proves it); null: no known format. */
export function findCallFormat(template: string): CallFormat | null {
  const has = (text: string): boolean => template.includes(text);
  if (has("[TOOL_CALLS]")) return callFormatOf(has(ARGUMENTS_MARK) ? "mistral_args" : "mistral");
  if (has("<|tool_call|>")) return callFormatOf(has("<|/tool_call|>") ? "phi4_mini" : "granite");
  if (has("<tool_call>")) return callFormatOf("hermes");
  return /['"]parameters['"]|\\"parameters\\"/.test(template) && has("name") ? callFormatOf("llama3_json") : null;
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** A new id, which the template accepts when the call is sent back. */
export function newCallId(format: CallFormat | null): string {
  const hasShortIds = format?.hasShortIds === true;
  const id = Array.from(randomBytes(hasShortIds ? 9 : 24), (byte) => LETTERS[byte % LETTERS.length]).join("");
  return hasShortIds ? id : `call_${id}`;
}
