/**
 * The only file of this folder that others import. It renders a template's source and variables to text. Pure except
 * for the clock, which the caller may fix. The engine is our own, because prompts must equal those of transformers
 * exactly. Of 609 renders by transformers (test/golden/text), @huggingface/jinja 0.5.11 differs in 145. It also has no
 * limits, and its value classes cannot be extended.
 */
import type { Statement } from "./syntax/ast.ts";
import { makeGlobals } from "./globals.ts";
import { Interpreter } from "./interpreter.ts";
import { parseTemplate } from "./syntax/parser.ts";
import { JinjaError, toValue } from "./values.ts";

export { JinjaError };

/** A parsed template. */
export type Template = readonly Statement[];

/** Parses a template, for many renders. @throws {JinjaError} naming the line */
export function parseJinja(source: string): Template {
  return parseTemplate(source);
}

/** Renders a template as transformers' `apply_chat_template` environment does. @throws {JinjaError} */
export function renderJinja(
  source: string,
  variables: Readonly<Record<string, unknown>>,
  now: () => Date = () => new Date(),
): string {
  return renderParsed(parseTemplate(source), variables, now);
}

/** Renders a parsed template. @throws {JinjaError} */
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
    // JavaScript's own limits (stack, string length) are reported as a template that needs too much.
    if (error instanceof RangeError) throw new JinjaError(`the template asks for too much: ${error.message}`);
    throw error;
  }
}
