/**
 * The functions that every template can call. Source: Jinja 3.1, "List of Global Functions", and transformers'
 * additions.
 */
import { asInteger, asString, bind, bindAll } from "./arguments.ts";
import { formatDate } from "./text.ts";
import { toText } from "./printing.ts";
import { type Arguments, iterate, JinjaError, PyObject, Undefined, type Value } from "./values.ts";

/** The bound on `range` of Jinja's sandbox. */
const MAX_RANGE = 100_000;

function range(args: Arguments): Value {
  const [first, second, third] = bind(args, "start", "stop", "step");
  const start = second === undefined ? 0 : asInteger(first, 0);
  const stop = asInteger(second === undefined ? first : second, 0);
  const step = asInteger(third, 1);
  if (step === 0) throw new JinjaError("range() arg 3 must not be zero");
  const size = Math.max(0, Math.ceil((stop - start) / step));
  if (size > MAX_RANGE) {
    throw new JinjaError(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${MAX_RANGE}).`);
  }
  return Array.from({ length: size }, (_, i) => BigInt(start + i * step));
}

function pairs(args: Arguments): Map<string, Value> {
  const [source] = args.positional;
  const entries =
    source instanceof Map ? [...source] : source === undefined ? [] : iterate(source).map((pair) => iterate(pair));
  return new Map([...entries.map(([key = null, value = null]) => [toText(key), value] as const), ...args.keyword]);
}

function cycler(args: Arguments): Value {
  const values = args.positional;
  if (values.length === 0) throw new JinjaError("at least one item has to be provided");
  let at = 0;
  const object = new PyObject("Cycler", { printed: "<jinja2.utils.Cycler object>" });
  const set = (): void => void object.attributes.set("current", values[at] as Value);
  const reset = (): Value => {
    at = 0;
    set();
    return null;
  };
  const next = (): Value => {
    const value = values[at] as Value;
    at = (at + 1) % values.length;
    set();
    return value;
  };
  object.attributes.set("next", new PyObject("method", { call: next }));
  object.attributes.set("reset", new PyObject("method", { call: reset }));
  set();
  return object;
}

function joiner(args: Arguments): Value {
  const [separator = ", "] = bind(args, "sep");
  let isUsed = false;
  const call = (): Value => {
    const text = isUsed ? separator : "";
    isUsed = true;
    return text;
  };
  return new PyObject("Joiner", { call, printed: "<jinja2.utils.Joiner object>" });
}

function named(name: string, call: (args: Arguments) => Value, printed = `<function ${name}>`): [string, Value] {
  return [name, new PyObject("function", { call, printed })];
}

/** The names of a new render. @param now the local time for `strftime_now`. */
export function makeGlobals(now: () => Date): Map<string, Value> {
  return new Map<string, Value>([
    named("range", range, "<class 'range'>"),
    named("dict", pairs as (args: Arguments) => Map<Value, Value>, "<class 'dict'>"),
    named(
      "namespace",
      (args) => new PyObject("Namespace", { attributes: pairs(args), printed: "<Namespace>" }),
      "<class 'jinja2.utils.Namespace'>",
    ),
    named("cycler", cycler, "<class 'jinja2.utils.Cycler'>"),
    named("joiner", joiner, "<class 'jinja2.utils.Joiner'>"),
    named("lipsum", () => new Undefined("lipsum is not available"), "<function generate_lorem_ipsum>"),
    named("raise_exception", (args) => {
      throw new JinjaError(toText(bindAll(args, "message")[0] as Value), true);
    }),
    named("strftime_now", (args) => formatDate(now(), asString(bindAll(args, "format")[0]))),
    ["self", new PyObject("TemplateReference", { printed: "<TemplateReference None>" })],
  ]);
}
