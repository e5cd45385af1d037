/** The `loop` variable inside a `for`. Source: Jinja 3.1, "List of Control Structures: For". */
import { type Arguments, isEqual, JinjaError, PyObject, Undefined, type Value } from "./values.ts";

/** One run of a `for`: the state that its iterations share. */
export interface LoopRun {
  readonly items: readonly Value[];
  readonly depth: number;
  /** Runs the loop again over other items; absent without the `recursive` mark. */
  readonly recurse: ((iterable: Value) => string) | undefined;
  /** The last arguments of `loop.changed`. */
  last: readonly Value[] | undefined;
}

/** The `loop` object of the iteration at `at`. */
export function makeLoop(run: LoopRun, at: number): PyObject {
  const { items, depth, recurse } = run;
  const size = items.length;
  const call = (args: Arguments): Value => {
    if (recurse === undefined) {
      throw new JinjaError("The loop must have the 'recursive' marker to be called recursively.");
    }
    return recurse(args.positional[0] ?? null);
  };
  const cycle = (args: Arguments): Value => {
    if (args.positional.length === 0) throw new JinjaError("no items for cycling given");
    return args.positional[at % args.positional.length] as Value;
  };
  const changed = ({ positional }: Arguments): Value => {
    const isSame =
      run.last?.length === positional.length && positional.every((value, i) => isEqual(value, run.last?.[i] ?? null));
    run.last = positional;
    return !isSame;
  };
  const attributes = new Map<string, Value>([
    ["index", BigInt(at + 1)],
    ["index0", BigInt(at)],
    ["revindex", BigInt(size - at)],
    ["revindex0", BigInt(size - at - 1)],
    ["first", at === 0],
    ["last", at === size - 1],
    ["length", BigInt(size)],
    ["depth", BigInt(depth + 1)],
    ["depth0", BigInt(depth)],
    ["previtem", neighbour(items[at - 1], "previous")],
    ["nextitem", neighbour(items[at + 1], "next")],
    ["cycle", new PyObject("method", { call: cycle })],
    ["changed", new PyObject("method", { call: changed })],
  ]);
  return new PyObject("LoopContext", { attributes, call, printed: `<LoopContext ${at + 1}/${size}>` });
}

function neighbour(item: Value | undefined, side: string): Value {
  return item === undefined ? new Undefined(`there is no ${side} item`) : item;
}
