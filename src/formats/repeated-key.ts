/** Finds keys that an object of a JSON text repeats. JSON.parse silently uses the last one. Knows no safetensors. */

/**
 * The first key that the outermost object of `text` repeats, as it is written there, or undefined.
 * @param text valid JSON whose value is an object
 */
export function repeatedKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") depth--;
    if (char !== '"') continue;
    const start = at + 1;
    at = text.indexOf('"', start);
    while (isEscaped(text, at)) at = text.indexOf('"', at + 1);
    if (depth !== 1 || !/^\s*:/.test(text.slice(at + 1, at + 64))) continue;
    const key = JSON.parse(text.slice(start - 1, at + 1)) as string;
    if (seen.has(key)) return key;
    seen.add(key);
  }
  return undefined;
}

function isEscaped(text: string, at: number): boolean {
  let slashes = 0;
  while (text[at - 1 - slashes] === "\\") slashes++;
  return slashes % 2 === 1;
}
