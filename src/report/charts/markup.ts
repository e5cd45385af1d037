/**
 * Text that is already HTML, told apart from text that is data: whatever is put into a `markup` template is escaped unless it
 * came out of one. What comes out is well-formed XML too. Knows nothing of reports.
 */

/** Escaped and ready to be written. */
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

/** A template whose values are escaped; null is nothing, a list is joined. */
export function markup(strings: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return new Markup(strings.reduce((text, string, i) => text + textOf(parts[i - 1] ?? null) + string));
}

function textOf(part: Part): string {
  if (part === null) return "";
  if (part instanceof Markup) return part.text;
  return typeof part === "object" ? part.map(({ text }) => text).join("") : escapeText(String(part));
}

/** For the text of elements and for attributes in quotes; characters that XML forbids become U+FFFD. */
export function escapeText(text: string): string {
  // Control characters, lone surrogates and the two that are no characters at all.
  const allowed = text.replaceAll(/[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, "\uFFFD");
  return allowed.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
