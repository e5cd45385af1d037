/**
 * A model's chat template: its sources, its variables, and the conversion of messages to prompt text. It renders in the
 * calling thread within the engine's budget. A server renders in the text worker, which can be killed. Source:
 * transformers 5 `apply_chat_template`; the engine is src/jinja.
 */
import { AppError, quote } from "../../errors.ts";
import { renderOpenEnded } from "./open-ended.ts";
import { type ChatMessage, prepareMessages, type TemplateAbilities } from "./chat-message.ts";
import { JinjaError, parseJinja, renderParsed, type Template } from "../../jinja/jinja.ts";
import { readTextFiles, type TextFiles } from "../files/text-files.ts";

/** The inputs of a request besides its messages. */
export interface RenderOptions {
  readonly tools?: readonly unknown[] | undefined;
  /** The request's `chat_template_kwargs`: further variables for the template. */
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined;
  /** Name of one of the model's templates. Without it: "tool_use" for tools if it exists, otherwise "default". */
  readonly templateName?: string | undefined;
  /** Whether the prompt ends where the assistant's answer begins (default true). */
  readonly addGenerationPrompt?: boolean | undefined;
  /** Whether the prompt ends with the last message's content, which the answer continues (default false). */
  readonly continueFinalMessage?: boolean | undefined;
}

/** A model's template, or its set of named templates. */
export interface ChatTemplate {
  /**
   * The prompt of a conversation. @throws {AppError} invalid_request with the template's own message or the failure.
   */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string;
}

interface Compiled {
  readonly body: Template;
  readonly abilities: TemplateAbilities;
}

/**
 * The chat template of a base directory or checkpoint, or undefined when the model has none. @throws {AppError}
 * checkpoint_invalid.
 */
export async function loadChatTemplate(dir: string): Promise<ChatTemplate | undefined> {
  return chatTemplateOf(await readTextFiles(dir));
}

/** The chat template among a model's text files, or undefined when it has none. */
export function chatTemplateOf({ templates, specialVariables }: TextFiles): ChatTemplate | undefined {
  return templates.size === 0 ? undefined : makeChatTemplate(templates, specialVariables);
}

/** Makes a template from its sources by name ("default", "tool_use", …) and its special tokens. */
export function makeChatTemplate(
  sources: ReadonlyMap<string, string>,
  special: Readonly<Record<string, unknown>>,
): ChatTemplate {
  const compiled = new Map<string, Compiled>();
  const compile = (name: string): Compiled => {
    const ready = compiled.get(name);
    if (ready !== undefined) return ready;
    const body = parseJinja(sources.get(name) ?? "");
    const fresh = { body, abilities: findAbilities(body) };
    compiled.set(name, fresh);
    return fresh;
  };
  return {
    render: (messages, options = {}) =>
      asInvalidRequest(() => {
        const { body, abilities } = compile(chooseTemplate(sources, options));
        const prepared = prepareMessages(messages, abilities);
        const render = (shown: readonly ChatMessage[]) =>
          renderParsed(body, { ...xmlTools(abilities, options), ...variablesOf(shown, options, special) });
        return options.continueFinalMessage === true ? renderOpenEnded(prepared, render) : render(prepared);
      }),
  };
}

/** The tools under the other name that a few templates use. A request's own variable of that name has precedence. */
function xmlTools({ takesXmlTools }: TemplateAbilities, { tools = [] }: RenderOptions): Record<string, unknown> {
  return takesXmlTools && tools.length > 0 ? { xml_tools: tools } : {};
}

/** Source: `get_chat_template` of transformers. */
function chooseTemplate(sources: ReadonlyMap<string, string>, { templateName, tools = [] }: RenderOptions): string {
  const name = templateName ?? (tools.length > 0 && sources.has("tool_use") ? "tool_use" : "default");
  if (sources.has(name)) return name;
  const names = [...sources.keys()].join(", ");
  if (templateName !== undefined)
    throw new AppError(
      "invalid_request",
      `The model has no chat template called ${quote(name)}, only ${names}. A request can name a template of the model, but cannot contain one.`,
      { param: "chat_template" },
    );
  throw new AppError(
    "invalid_request",
    `The model has no default chat template, only ${names}. Name one as "chat_template", or send a prompt to /v1/completions.`,
  );
}

function variablesOf(
  messages: readonly ChatMessage[],
  options: RenderOptions,
  special: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const { kwargs = {} } = options;
  const taken = ["messages", "tools"].find((name) => name in kwargs);
  if (taken !== undefined)
    throw new AppError("invalid_request", `chat_template_kwargs cannot set "${taken}"; it is a field of the request.`, {
      param: "chat_template_kwargs",
    });
  return {
    ...special,
    documents: null,
    add_generation_prompt: true,
    ...kwargs,
    ...(options.addGenerationPrompt === undefined ? {} : { add_generation_prompt: options.addGenerationPrompt }),
    messages,
    tools: options.tools !== undefined && options.tools.length > 0 ? options.tools : null,
  };
}

/**
 * A template's failure is an error of the request. The template's own message is unchanged. Any other message names the
 * cause.
 */
function asInvalidRequest(render: () => string): string {
  try {
    return render();
  } catch (cause) {
    if (!(cause instanceof JinjaError)) throw cause;
    const message = cause.raised
      ? cause.message
      : `The model's chat template cannot render this conversation: ${cause.message}`;
    throw new AppError("invalid_request", message, { cause, param: "messages" });
  }
}

const TYPE_TESTS = ["string", "iterable", "sequence", "mapping"];

/** Searches a template for tests on the type of a content or of a call's arguments, and for loops over contents. */
export function findAbilities(body: Template): TemplateAbilities {
  let takesParts = false;
  let takesStringArguments = false;
  let takesXmlTools = false;
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    if (Array.isArray(node)) return node.forEach(visit);
    const { kind, object, name, iterable } = node as Record<string, unknown>;
    takesXmlTools ||= kind === "name" && name === "xml_tools";
    if (kind === "test" && TYPE_TESTS.includes(String(name))) {
      takesParts ||= endsIn(object, "content");
      takesStringArguments ||= endsIn(object, "arguments");
    }
    if (kind === "for" || kind === "filter")
      takesParts ||= endsIn(kind === "for" ? iterable : name === "selectattr" ? object : undefined, "content");
    Object.values(node).forEach(visit);
  };
  visit(body);
  return { takesParts, takesStringArguments, takesXmlTools };
}

/** Whether an expression is `content`, `x.content` or `x["content"]`. */
function endsIn(node: unknown, name: string): boolean {
  if (typeof node !== "object" || node === null) return false;
  const expression = node as { kind?: string; name?: string; key?: { value?: unknown } };
  if (expression.kind === "name" || expression.kind === "attribute") return expression.name === name;
  return expression.kind === "item" && expression.key?.value === name;
}
