/** The filters over sequences and dicts, as a table. Source: Jinja 3.1, "List of Builtin Filters". */
import { asFlag, asInteger, asString, attributePath, bind } from "./arguments.ts";
import type { Filter } from "./filters.ts";
import { attribute as readAttribute, binary, item } from "./operators.ts";
import { toText } from "./printing.ts";
import { runTest } from "./tests.ts";
import { compare, isEqual, isTrue, Iter, iterate, JinjaError, Tuple, Undefined, type Value } from "./values.ts";

const generator = (items: readonly Value[]): Iter => new Iter("generator", items);

/** Follows `attribute="a.b.0"`; absent, the value itself. */
function read(value: Value, path: Value | undefined): Value {
  if (path === undefined || path === null) return value;
  return attributePath(path).reduce<Value>((object, step) => item(object, step), value);
}

function ignoreCase(value: Value): Value {
  return typeof value === "string" ? value.toLowerCase() : value;
}

/** Sorts stably; an undefined key has no order. */
function sortBy(values: readonly Value[], key: (value: Value) => Value, isReversed: boolean): Value[] {
  const keyed = values.map((value) => ({ value, key: key(value) }));
  const missing = keyed.find((entry) => entry.key instanceof Undefined);
  if (missing !== undefined && keyed.length > 1) throw new JinjaError((missing.key as Undefined).message);
  const sorted = keyed.sort((a, b) => (isReversed ? compare(b.key, a.key) : compare(a.key, b.key)));
  return sorted.map((entry) => entry.value);
}

const sort: Filter = (value, args) => {
  const [reverse, isCased, attribute] = bind(args, "reverse", "case_sensitive", "attribute");
  const paths = typeof attribute === "string" ? attribute.split(",") : [attribute];
  const fold = asFlag(isCased) ? (key: Value): Value => key : ignoreCase;
  const key = (entry: Value): Value =>
    paths.length === 1 ? fold(read(entry, paths[0])) : new Tuple(paths.map((path) => fold(read(entry, path))));
  return sortBy(iterate(value), key, asFlag(reverse));
};

const dictSort: Filter = (value, args) => {
  const [isCased, by = "key", reverse] = bind(args, "case_sensitive", "by", "reverse");
  if (!(value instanceof Map)) throw new JinjaError("dictsort takes a dict");
  const at = by === "value" ? 1 : 0;
  const key = (pair: Value): Value =>
    asFlag(isCased) ? ((pair as Tuple).items[at] ?? null) : ignoreCase((pair as Tuple).items[at] ?? null);
  return sortBy(
    [...value].map((pair) => new Tuple(pair)),
    key,
    asFlag(reverse),
  );
};

/** `select`, `reject` and their `attr` forms: a test by name; without a name, whether the value is true. */
const chosen =
  (keeps: boolean, hasAttribute: boolean): Filter =>
  (value, args) => {
    const path = hasAttribute ? args.positional[0] : undefined;
    const rest = hasAttribute ? args.positional.slice(1) : args.positional;
    if (hasAttribute && path === undefined)
      throw new JinjaError("selectattr and rejectattr need the name of an attribute");
    const [test, ...operands] = rest;
    const passes = (entry: Value): boolean => {
      const tested = read(entry, path);
      return (test === undefined ? isTrue(tested) : runTest(asString(test), tested, operands)) === keeps;
    };
    // With None nothing is selected, because Jinja's generator never starts on a false value.
    return generator(isTrue(value) ? iterate(value).filter(passes) : []);
  };

const map: Filter = (value, args, context) => {
  const attribute = args.keyword.get("attribute");
  const entries = isTrue(value) ? iterate(value) : [];
  if (attribute !== undefined) {
    const fallback = args.keyword.get("default");
    return generator(entries.map((entry) => readOr(entry, attribute, fallback)));
  }
  const [name, ...positional] = args.positional;
  if (name === undefined) throw new JinjaError("map requires a filter argument");
  return generator(
    entries.map((entry) => context.filter(asString(name), entry, { positional, keyword: args.keyword })),
  );
};

/** A step of the path that leads to no value gives the fallback. */
function readOr(entry: Value, path: Value, fallback: Value | undefined): Value {
  if (fallback === undefined || fallback === null) return read(entry, path);
  return attributePath(path).reduce<Value>((object, step) => {
    const found = item(object, step);
    return found instanceof Undefined ? fallback : found;
  }, entry);
}

const join: Filter = (value, args, { budget }) => {
  const [separator = "", attribute] = bind(args, "d", "attribute");
  const parts = iterate(value).map((entry) => toText(read(entry, attribute)));
  const glue = toText(separator);
  budget.spend(parts.reduce((sum, part) => sum + part.length + glue.length, 0));
  return parts.join(glue);
};

const unique: Filter = (value, args) => {
  const [isCased, attribute] = bind(args, "case_sensitive", "attribute");
  const seen: Value[] = [];
  return generator(
    iterate(value).filter((entry) => {
      const key = asFlag(isCased) ? read(entry, attribute) : ignoreCase(read(entry, attribute));
      if (seen.some((other) => isEqual(other, key))) return false;
      seen.push(key);
      return true;
    }),
  );
};

/** Groups ignore case and have the name of their first member. */
const groupBy: Filter = (value, args) => {
  const [attribute = null, fallback, isCased] = bind(args, "attribute", "default", "case_sensitive");
  const shown = (entry: Value): Value => readOr(entry, attribute, fallback);
  const key = (entry: Value): Value => (asFlag(isCased) ? shown(entry) : ignoreCase(shown(entry)));
  const groups: { key: Value; items: Value[] }[] = [];
  for (const entry of sortBy(iterate(value), key, false)) {
    const last = groups.at(-1);
    if (last !== undefined && isEqual(last.key, key(entry))) last.items.push(entry);
    else groups.push({ key: key(entry), items: [entry] });
  }
  return groups.map(({ items }) => new Tuple([shown(items[0] ?? null), items], ["grouper", "list"]));
};

const extreme =
  (sign: number): Filter =>
  (value, args) => {
    const [isCased, attribute] = bind(args, "case_sensitive", "attribute");
    const key = (entry: Value): Value =>
      asFlag(isCased) ? read(entry, attribute) : ignoreCase(read(entry, attribute));
    const [first, ...rest] = iterate(value);
    if (first === undefined) return new Undefined("No aggregated item, sequence was empty.");
    return rest.reduce((best, entry) => (compare(key(entry), key(best)) * sign > 0 ? entry : best), first);
  };

const sum: Filter = (value, args, { budget }) => {
  const [attribute, start = 0n] = bind(args, "attribute", "start");
  return iterate(value).reduce<Value>((total, entry) => binary("+", total, read(entry, attribute), budget), start);
};

const batch: Filter = (value, args) => {
  const [size, fill] = bind(args, "linecount", "fill_with");
  const count = asInteger(size, 0);
  if (count < 1) throw new JinjaError("batch takes a positive number");
  const entries = iterate(value);
  const rows: Value[][] = [];
  for (let i = 0; i < entries.length; i += count) rows.push(entries.slice(i, i + count));
  const last = rows.at(-1);
  if (fill !== undefined && fill !== null)
    while (last !== undefined && last.length < count && last.length < 10_000) last.push(fill);
  return generator(rows);
};

function ends(value: Value, isFirst: boolean): Value {
  if (!isFirst && value instanceof Iter && !value.isView) throw new JinjaError("'generator' object is not reversible");
  const entry = iterate(value).at(isFirst ? 0 : -1);
  return entry === undefined ? new Undefined(`No ${isFirst ? "first" : "last"} item, sequence was empty.`) : entry;
}

const reverse: Filter = (value) => {
  if (typeof value === "string") return [...value].reverse().join("");
  return new Iter("reverse_iterator", [...iterate(value)].reverse());
};

const items: Filter = (value) => {
  if (value instanceof Undefined) return generator([]);
  if (!(value instanceof Map)) throw new JinjaError("Can only get item pairs from a mapping.");
  return generator([...value].map((pair) => new Tuple(pair)));
};

/** An attribute only, never a key. */
const attr: Filter = (value, args) => {
  const name = toText(bind(args, "name")[0] ?? null);
  return readAttribute(value instanceof Map ? new Map() : value, name);
};

/** Filters by name; `filters.ts` adds them to its table. */
export const SEQUENCE_FILTERS: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  ["list", (value) => [...iterate(value)]],
  ["first", (value) => ends(value, true)],
  ["last", (value) => ends(value, false)],
  ["join", join],
  ["sort", sort],
  ["dictsort", dictSort],
  ["reverse", reverse],
  ["unique", unique],
  ["groupby", groupBy],
  ["map", map],
  ["select", chosen(true, false)],
  ["reject", chosen(false, false)],
  ["selectattr", chosen(true, true)],
  ["rejectattr", chosen(false, true)],
  ["max", extreme(1)],
  ["min", extreme(-1)],
  ["sum", sum],
  ["batch", batch],
  ["items", items],
  ["attr", attr],
]);
