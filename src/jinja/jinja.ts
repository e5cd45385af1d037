/**
 * The one door of this folder: a template's source and variables → text. Pure but for the clock, which the caller may pin.
 * An engine of our own because prompts must be transformers' to the letter: of 609 renders that transformers made
 * (test/golden/text) @huggingface/jinja 0.5.11 differs in 145 and has no bounds; its value classes cannot be extended.
 */
import type { Statement } from "./syntax/ast.ts";
import { makeGlobals } from "./globals.ts";
import { Interpreter } from "./interpreter.ts";
import { parseTemplate } from "./syntax/parser.ts";
import { JinjaError, toValue } from "./values.ts";

export { JinjaError };

/** A template that was parsed. */
export type Template = readonly Statement[];

/** Parses a template, for many renders. @throws {JinjaError} naming the line */
export function parseJinja(source: string): Template {
  return parseTemplate(source);
}

/** Renders a template as transformers' `apply_chat_template` environment would. @throws {JinjaError} */
export function renderJinja(
  source: string,
  variables: Readonly<Record<string, unknown>>,
  now: () => Date = () => new Date(),
): string {
  return renderParsed(parseTemplate(source), variables, now);
}

/** Renders a template parsed before. @throws {JinjaError} */
export function renderParsed(
  template: Template,
  variables: Readonly<Record<string, unknown>>,
  now: () => Date = () => new Date(),
): string {
  const names = makeGlobals(now);
  for (const [name, value] of Object.entries(variables)) names.set(name, toValue(value));
  try {
    return new Interpreter().render(template, names);
  } catch (error) {
    // The engine's own limits (stack, string length) are a template that asks for too much.
    if (error instanceof RangeError) throw new JinjaError(`the template asks for too much: ${error.message}`);
    throw error;
  }
}
