/**
 * Separates HTML text from data: a value in a `markup` template is escaped unless it is the result of one.
 * The result is well-formed XML too. Knows nothing of reports.
 */

/** Escaped text that is ready to be written. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Markup | null | readonly Markup[];

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** A template whose values are escaped. null gives no text; a list is joined. */
export function markup(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(strings.reduce((text, string, i) => text + textOf(parts[i - 1] ?? null) + string));
}

function textOf(part: Part): string {
  if (part === null) return "";
  if (part instanceof Markup) return part.text;
  return typeof part === "object" ? part.map(({ text }) => text).join("") : escapeText(String(part));
}

/** Escapes text of elements and of quoted attributes. Characters that XML forbids become U+FFFD. */
export function escapeText(text: string): string {
  // Control characters, lone surrogates and the two noncharacters.
  const allowed = text.replaceAll(/[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "\uFFFD");
  return allowed.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
