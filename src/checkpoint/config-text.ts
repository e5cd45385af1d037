/**
 * Changes settings in the text of a config.json and leaves all other text as it is.
 * transformers 5 distinguishes 4.0 from 4 and refuses an integer where a
 * class wants a float. JavaScript's numbers cannot express the difference.
 */

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/g;

/**
 * Sets these keys at the top level of the text: existing keys are replaced in place, new ones are added after the
 * others.
 * @param text a JSON object
 */
export function withSettings(text: string, settings: Readonly<Record<string, unknown>>): string {
  const ranges = topLevelValues(text);
  let out = text.slice(0, text.lastIndexOf("}")).trimEnd();
  const present = Object.keys(settings).filter((key) => ranges.has(key));
  // From the last to the first, so that earlier ranges stay valid.
  for (const key of present.sort((a, b) => (ranges.get(b)?.[0] ?? 0) - (ranges.get(a)?.[0] ?? 0))) {
    const [start, end] = ranges.get(key) ?? [0, 0];
    out = `${out.slice(0, start)}${JSON.stringify(settings[key])}${out.slice(end)}`;
  }
  const added = Object.entries(settings).filter(([key]) => !ranges.has(key));
  const lines = added.map(([key, value]) => `\n  ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  const separator = ranges.size > 0 && lines.length > 0 ? "," : "";
  return `${out}${separator}${lines.join(",")}\n}\n`;
}

/** The text of a value at the top level; undefined where there is none. */
export function settingText(text: string, key: string): string | undefined {
  const range = topLevelValues(text).get(key);
  return range && text.slice(range[0], range[1]);
}

/** Removes a key at the top level of the text. */
export function withoutSetting(text: string, key: string): string {
  const range = topLevelValues(text).get(key);
  if (range === undefined) return text;
  const [, end, start] = range;
  const rest = text.slice(end).trimStart();
  const without = rest.startsWith(",")
    ? text.slice(0, start) + rest.slice(1).trimStart()
    : `${text.slice(0, start).trimEnd().replace(/,$/, "")}\n${rest}`;
  return withoutSetting(without, key); // a key may occur twice
}

/** Sets the dtype, under the key that the file uses for it. */
export function withDtype(text: string, dtype: string): string {
  return withSettings(text, { [topLevelValues(text).has("torch_dtype") ? "torch_dtype" : "dtype"]: dtype });
}

/**
 * The range of each value of the outermost object, and the start of its key. Where a key occurs twice, the last one
 * counts.
 */
function topLevelValues(text: string): ReadonlyMap<string, readonly [start: number, end: number, keyStart: number]> {
  const ranges = new Map<string, readonly [number, number, number]>();
  let depth = 0;
  let key: string | null = null;
  let start = -1;
  let end = -1;
  let keyStart = -1;
  let lastStart = -1;
  let last = "";
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (depth === 1 && (token === "," || token === "}") && key !== null && start >= 0) {
      ranges.set(key, [start, end, keyStart]);
      [key, start] = [null, -1];
    } else if (depth === 1 && token === ":" && start < 0) {
      key = JSON.parse(last) as string;
      keyStart = lastStart;
    } else if (key !== null && start < 0) start = index;
    if (token === "{" || token === "[") depth++;
    if (token === "}" || token === "]") depth--;
    end = index + token.length;
    last = token;
    lastStart = index;
  }
  return ranges;
}
