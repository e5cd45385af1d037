/** Finds keys that an object of a JSON text repeats. JSON.parse silently uses the last one. Pure. */

/**
 * The first key that an object of `text` repeats, at any depth, or undefined. Escapes in the key are decoded.
 * @param text valid JSON
 */
export function repeatedKey(text: string): string | undefined {
  /** Keys of the open objects and lists, from the outside in. Those of a list stay empty. */
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "{" || char === "[") open.push(new Set());
    else if (char === "}" || char === "]") open.pop();
    if (char !== '"') continue;
    const start = at + 1;
    at = text.indexOf('"', start);
    while (isEscaped(text, at)) at = text.indexOf('"', at + 1);
    if (!/^\s*:/.test(text.slice(at + 1, at + 64))) continue;
    const key = JSON.parse(text.slice(start - 1, at + 1)) as string;
    const seen = open.at(-1);
    if (seen?.has(key)) return key;
    seen?.add(key);
  }
  return undefined;
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text[at - 1 - slashes] === "\\") slashes++;
  return slashes % 2 === 1;
}
