/**
 * The tools of a request, and which of them the answer may or must call. Source: OpenAI's and vLLM's chat completions.
 */
import { AppError, quote } from "../../../errors.ts";
import { invalid } from "../../error-response.ts";
import type { ChatRequest } from "../request-schema.ts";

export interface Tool {
  readonly name: string;
  /** JSON Schema of the arguments; null: any object. */
  readonly parameters: unknown;
  readonly isStrict: boolean;
}

export interface ToolUse {
  /** The tools that may be called. Empty: none. */
  readonly tools: readonly Tool[];
  /** Whether the answer must be only a call. */
  readonly isForced: boolean;
  readonly isParallel: boolean;
}

const NONE: ToolUse = { tools: [], isForced: false, isParallel: false };

/** @throws {AppError} invalid_request, unsupported_parameter */
export function readToolUse(fields: Pick<ChatRequest, "tools" | "tool_choice" | "parallel_tool_calls">): ToolUse {
  const tools = (fields.tools ?? []).map(readTool);
  const choice = fields.tool_choice ?? "auto";
  const isParallel = fields.parallel_tool_calls !== false;
  if (tools.length === 0) {
    if (choice === "auto" || choice === "none") return NONE;
    throw invalid('"tool_choice" asks for a call, and "tools" are missing. Send the tools.', "tools");
  }
  if (choice === "none") return NONE;
  if (choice === "auto" || choice === "required") return { tools, isForced: choice === "required", isParallel };
  if (typeof choice === "string") throw unknownChoice(choice);
  const { mode, names } = readNamed(choice);
  const allowed = tools.filter(({ name }) => names.includes(name));
  const missing = names.find((name) => !tools.some((tool) => tool.name === name));
  if (missing !== undefined)
    throw invalid(
      `"tool_choice" names the function ${quote(missing)}, but "tools" has no function of that name.`,
      "tool_choice",
    );
  return { tools: allowed, isForced: mode === "required", isParallel: isParallel && choice.type !== "function" };
}

function readTool(tool: NonNullable<ChatRequest["tools"]>[number], index: number): Tool {
  const declared = (tool.function ?? {}) as { name?: unknown; parameters?: unknown; strict?: unknown };
  if (typeof declared.name !== "string" || declared.name === "")
    throw invalid(
      `"tools.${index}.function.name" is missing. Give the function a name.`,
      `tools.${index}.function.name`,
    );
  const at = `tools.${index}.function`;
  const { parameters = null, strict = null } = declared;
  if (parameters !== null && (typeof parameters !== "object" || Array.isArray(parameters)))
    throw invalid(`"${at}.parameters" should be a JSON Schema, an object.`, `${at}.parameters`);
  if (strict !== null && typeof strict !== "boolean")
    throw invalid(`"${at}.strict" should be true or false.`, `${at}.strict`);
  return { name: declared.name, parameters, isStrict: strict === true };
}

/** `{"type": "function", …}` forces one tool; `{"type": "allowed_tools", …}` narrows them. */
function readNamed(choice: Readonly<Record<string, unknown>>): { mode: "auto" | "required"; names: readonly string[] } {
  const nameOf = (one: unknown): string => {
    const { name, function: declared } = (one ?? {}) as { name?: unknown; function?: { name?: unknown } };
    const found = declared?.name ?? name;
    if (typeof found === "string") return found;
    throw invalid(
      '"tool_choice" names no function. Send {"type": "function", "function": {"name": …}}.',
      "tool_choice",
    );
  };
  if (choice.type === "function") return { mode: "required", names: [nameOf(choice)] };
  if (choice.type !== "allowed_tools") throw unknownChoice(choice.type);
  const { mode, tools } = (choice.allowed_tools ?? choice) as { mode?: unknown; tools?: unknown };
  if ((mode !== "auto" && mode !== "required") || !Array.isArray(tools) || tools.length === 0)
    throw invalid('"tool_choice.allowed_tools" needs a "mode" (auto or required) and "tools".', "tool_choice");
  return { mode, names: tools.map(nameOf) };
}

function unknownChoice(choice: unknown): AppError {
  return new AppError(
    "unsupported_parameter",
    `"tool_choice" is ${quote(choice)}. Use "auto", "none", "required", {"type": "function", …} or {"type": "allowed_tools", …}.`,
    { param: "tool_choice" },
  );
}
