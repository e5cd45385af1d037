/** The Jinja engine against transformers' own renders: whole chat templates, and snippets of one feature each. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { withStandardFields } from "../../src/tokenizer/chat/chat-message.ts";
import { parseExactJson } from "../../src/tokenizer/chat/exact-json.ts";
import { JinjaError, renderJinja } from "../../src/jinja/jinja.ts";
import { casesIn, templateFolders } from "../helpers/fixtures.ts";

interface Expectation {
  readonly expected?: string;
  readonly error?: { readonly type: string; readonly message: string };
}
interface ChatCases {
  readonly template: string;
  readonly clock: string;
  readonly cases: readonly (Expectation & {
    name: string;
    messages: Record<string, unknown>[];
    kwargs: Record<string, unknown>;
  })[];
}
interface Snippets {
  readonly clock: string;
  readonly values: Record<string, unknown>;
  readonly cases: readonly (Expectation & { template: string })[];
}

/** The pinned clock, as local time: what `strftime_now` prints is what the fixture's machine saw in UTC. */
function pinned(clock: string): () => Date {
  return () => new Date(clock);
}

function run(render: () => string): Expectation {
  try {
    return { expected: render() };
  } catch (error) {
    if (!(error instanceof JinjaError)) throw error;
    return { error: { type: error.raised ? "TemplateError" : "other", message: error.message } };
  }
}

/** Renders must be equal; of failures only a template's own message is for the user and must be equal. */
function agrees(actual: Expectation, expected: Expectation): boolean {
  if (expected.error === undefined) return actual.expected === expected.expected;
  if (expected.error.type !== "TemplateError") return actual.error !== undefined;
  return actual.error?.type === "TemplateError" && actual.error.message === expected.error.message;
}

function check(id: string, actual: Expectation, expected: Expectation): void {
  if (!agrees(actual, expected)) expect(actual, id).toEqual({ expected: expected.expected, error: expected.error });
}

/** Read as a server reads bodies: `1.0` and long integers are as Python has them. */
const readExact = <T>(...path: string[]): T => parseExactJson(readFileSync(join(...path), "utf8")) as T;

const TEMPLATES = templateFolders().flatMap((folder) =>
  casesIn(folder, "cases.json").map((name) => [name, join(folder, name)] as const),
);

describe.each(TEMPLATES)("chat template %s", (name, folder) => {
  const { template, clock, cases } = readExact<ChatCases>(folder, "cases.json");
  const source = readFileSync(join(folder, template), "utf8");
  it.each(cases.map((row) => [row.name, row] as const))("renders %s as transformers does", (_, row) => {
    const messages = row.messages.map(withStandardFields);
    const variables = { tools: null, documents: null, messages, ...row.kwargs };
    check(
      `${name}/${row.name}`,
      run(() => renderJinja(source, variables, pinned(clock))),
      row,
    );
  });
});

describe.each(templateFolders())("snippets of %s", (folder) => {
  const { clock, values, cases } = readExact<Snippets>(folder, "snippets.json");
  const variables = { tools: null, documents: null, messages: [], add_generation_prompt: false, ...values };
  it.each(cases.map((row) => [row.template, row] as const))("%s", (template, row) => {
    check(
      template,
      run(() => renderJinja(template, variables, pinned(clock))),
      row,
    );
  });
});
