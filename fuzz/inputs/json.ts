/** Faults of JSON and other trees: values of other types and sizes, keys that are gone, new, or from elsewhere. */
import type { Random } from "./random.ts";
import { damagedText } from "./text.ts";

type Tree = Record<string, unknown> | unknown[];

const VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  1.5,
  2 ** 31,
  2 ** 53,
  -(2 ** 63),
  1e308,
  "",
  "text",
  "0",
  "\0",
  "\uD800",
  "a".repeat(2000),
  [],
  [null],
  ["x", 1],
  [[]],
  {},
  { 0: 1 },
  { type: "object" },
  { __proto__x: {} },
];
const KEYS = ["0", "1", "type", "text", "id", "name", "__proto__", "constructor", "length", ""];

/** A copy of `tree` with one to three faults. @param words keys and texts of the format */
export function damagedTree(tree: unknown, words: readonly string[], random: Random): unknown {
  const holder: Tree = { root: structuredClone(tree) };
  for (let i = random.few(3); i > 0; i--) damage(holder, words, random);
  return holder.root;
}

/** JSON of a damaged tree. Once in eight times the text is damaged instead. */
export function damagedJson(tree: unknown, words: readonly string[], random: Random): Uint8Array {
  if (!random.once(8)) return Buffer.from(JSON.stringify(damagedTree(tree, words, random)) ?? "");
  const text = JSON.stringify(tree);
  return Buffer.from(damagedText(text, text, [...words, "{", "}", "[", "]", ":", ",", '"', "1e999", "null"], random));
}

function damage(holder: Tree, words: readonly string[], random: Random): void {
  const places = placesIn(holder);
  const place = random.one(places) as Record<string, unknown>;
  const keys = Object.keys(place);
  const key = keys.length === 0 ? "0" : random.one(keys);
  switch (random.below(6)) {
    case 0:
      if (place !== holder) delete place[key];
      return;
    case 1:
      set(place, random.one([...KEYS, ...words]), newValue(places, words, random));
      return;
    case 2:
      if (Array.isArray(place) && place.length > 0) place.push(structuredClone(random.one(place)));
      else set(place, key, newValue(places, words, random));
      return;
    case 3:
      set(place, key, nested(place[key], random));
      return;
    default:
      set(place, key, newValue(places, words, random));
  }
}

function set(place: Record<string, unknown>, key: string, value: unknown): void {
  if (Array.isArray(place)) (place as unknown[]).splice(Number(key) || 0, 1, value);
  // Not an assignment: the key may be __proto__.
  else Object.defineProperty(place, key, { value, enumerable: true, writable: true, configurable: true });
}

function newValue(places: readonly Tree[], words: readonly string[], random: Random): unknown {
  if (random.once(3) && words.length > 0) return random.one(words);
  return structuredClone(random.once(4) ? random.one(places) : random.one(VALUES));
}

/** The value in lists or objects, in each other. */
function nested(value: unknown, random: Random): unknown {
  const key = random.one(["a", "items", "properties", "content"]);
  let tree = value;
  for (let i = random.few(random.once(20) ? 1500 : 8); i > 0; i--) tree = random.once(2) ? [tree] : { [key]: tree };
  return tree;
}

function placesIn(tree: unknown): Tree[] {
  const found: Tree[] = [];
  const waiting: unknown[] = [tree];
  for (let value = waiting.pop(); waiting.length > 0 || value !== undefined; value = waiting.pop()) {
    if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) continue;
    found.push(value as Tree);
    waiting.push(...Object.values(value));
  }
  return found;
}
