/**
 * Settings of a config.json changed in its text, everything else left as it is written: transformers 5 tells 4.0 from 4 and
 * refuses an integer where a class wants a float, and JavaScript's numbers do not know the difference.
 */

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;

/**
 * The text with these settings at its top level, replaced where they stand and added behind the others where they do not.
 * @param text a JSON object
 */
export function withSettings(text: string, settings: Readonly<Record<string, unknown>>): string {
  const ranges = topLevelValues(text);
  let out = text.slice(0, text.lastIndexOf("}")).trimEnd();
  const present = Object.keys(settings).filter((key) => ranges.has(key));
  // From the back, so that the ranges before stay true.
  for (const key of present.sort((a, b) => (ranges.get(b)?.[0] ?? 0) - (ranges.get(a)?.[0] ?? 0))) {
    const [start, end] = ranges.get(key) ?? [0, 0];
    out = `${out.slice(0, start)}${JSON.stringify(settings[key])}${out.slice(end)}`;
  }
  const added = Object.entries(settings).filter(([key]) => !ranges.has(key));
  const lines = added.map(([key, value]) => `\n  ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  const separator = ranges.size > 0 && lines.length > 0 ? "," : "";
  return `${out}${separator}${lines.join(",")}\n}\n`;
}

/** The same for the dtype, under the name that the file has for it. */
export function withDtype(text: string, dtype: string): string {
  return withSettings(text, { [topLevelValues(text).has("torch_dtype") ? "torch_dtype" : "dtype"]: dtype });
}

/** Where the value of each key of the outermost object lies; of a key given twice, the last, which is the one that counts. */
function topLevelValues(text: string): ReadonlyMap<string, readonly [start: number, end: number]> {
  const ranges = new Map<string, readonly [number, number]>();
  let depth = 0;
  let key: string | null = null;
  let start = -1;
  let end = -1;
  let last = "";
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (depth === 1 && (token === "," || token === "}") && key !== null && start >= 0) {
      ranges.set(key, [start, end]);
      [key, start] = [null, -1];
    } else if (depth === 1 && token === ":" && start < 0) key = JSON.parse(last) as string;
    else if (key !== null && start < 0) start = index;
    if (token === "{" || token === "[") depth++;
    if (token === "}" || token === "]") depth--;
    end = index + token.length;
    last = token;
  }
  return ranges;
}
