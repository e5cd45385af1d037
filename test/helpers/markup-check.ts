/**
 * A strict reading of a piece of XML without declarations: what a parser would refuse, as messages. For what our own
 * templates write.
 */

const NAME = "[A-Za-z][\\w:-]*";
const ATTRIBUTE = `\\s+(${NAME})="([^"<]*)"`;
const TAG = new RegExp(`^<(${NAME})((?:${ATTRIBUTE})*)\\s*(/?)>`);
const ENTITY = /^&(?:amp|lt|gt|quot|#\d+|#x[\da-f]+);/i;

/**
 * Every breach of well-formedness: tags that do not match, attributes given twice, stray characters; empty when there
 * is none.
 */
export function xmlBreaches(xml: string): string[] {
  const breaches: string[] = [];
  const open: string[] = [];
  checkCharacters(xml, breaches);
  for (let at = xml.indexOf("<"); at !== -1; at = xml.indexOf("<", at + 1)) {
    const rest = xml.slice(at, at + 100_000);
    const closing = /^<\/([\w:-]+)\s*>/.exec(rest)?.[1];
    if (closing !== undefined) {
      const expected = open.pop();
      if (expected !== closing) breaches.push(`</${closing}> closes <${expected ?? ""}>`);
      continue;
    }
    const [, name, attributes = "", , , isEmpty] = TAG.exec(rest) ?? [];
    if (name === undefined) {
      breaches.push(`no tag: ${rest.slice(0, 60)}`);
      continue;
    }
    const names = [...attributes.matchAll(new RegExp(ATTRIBUTE, "g"))].map(([, one]) => one);
    if (new Set(names).size < names.length) breaches.push(`an attribute twice: ${rest.slice(0, 60)}`);
    if (isEmpty === "") open.push(name);
  }
  if (open.length > 0) breaches.push(`never closed: ${open.join(" ")}`);
  return breaches;
}

function checkCharacters(xml: string, breaches: string[]): void {
  for (const { index } of xml.matchAll(/&/g))
    if (!ENTITY.test(xml.slice(index, index + 12))) breaches.push(`a bare &: ${xml.slice(index, index + 20)}`);
  // Everything that XML has no place for: control characters, lone surrogates.
  const forbidden = /[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u.exec(xml);
  if (forbidden) breaches.push(`a forbidden character at ${forbidden.index}`);
}
