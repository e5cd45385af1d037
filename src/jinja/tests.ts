/** The tests of `value is name(…)`, as a table. Source: Jinja 3.1, "List of Builtin Tests". */
import { compares } from "./operators.ts";
import { asNumber, contains, isEqual, Iter, JinjaError, PyObject, Tuple, Undefined, type Value } from "./values.ts";

type Test = (value: Value, ...args: readonly Value[]) => boolean;

const is =
  (operator: string): Test =>
  (value, other = null) =>
    compares(operator, value, other);

function remainder(value: Value, by: Value): boolean {
  const number = asNumber(value);
  const divisor = asNumber(by);
  if (number === undefined || divisor === undefined) throw new JinjaError("a number is required for this test");
  if (Number(divisor) === 0) throw new JinjaError("division by zero");
  return typeof number === "bigint" && typeof divisor === "bigint"
    ? number % divisor === 0n
    : Number(number) % Number(divisor) === 0;
}

const isLetters = (value: Value, cased: (text: string) => string): boolean =>
  typeof value === "string" && value === cased(value) && value.toLowerCase() !== value.toUpperCase();

const isSequence: Test = (value) =>
  typeof value === "string" ||
  Array.isArray(value) ||
  value instanceof Tuple ||
  value instanceof Map ||
  value instanceof Undefined;

/** Every test by name. */
const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ["defined", (value) => !(value instanceof Undefined)],
  ["undefined", (value) => value instanceof Undefined],
  ["none", (value) => value === null],
  ["boolean", (value) => typeof value === "boolean"],
  ["true", (value) => value === true],
  ["false", (value) => value === false],
  ["integer", (value) => typeof value === "bigint"],
  ["float", (value) => typeof value === "number"],
  ["number", (value) => asNumber(value) !== undefined],
  ["string", (value) => typeof value === "string"],
  ["mapping", (value) => value instanceof Map],
  ["iterable", (value) => isSequence(value) || value instanceof Iter],
  ["sequence", isSequence],
  ["callable", (value) => value instanceof PyObject && value.call !== undefined],
  ["upper", (value) => isLetters(value, (text) => text.toUpperCase())],
  ["lower", (value) => isLetters(value, (text) => text.toLowerCase())],
  ["even", (value) => remainder(value, 2n)],
  ["odd", (value) => !remainder(value, 2n)],
  ["divisibleby", (value, by = null) => remainder(value, by)],
  ["sameas", (value, other = null) => typeof value === typeof other && isEqual(value, other)],
  ["in", (value, container = null) => contains(container, value)],
  ["escaped", () => false],
  ...(["eq", "equalto", "=="] as const).map((name) => [name, is("==")] as const),
  ...(["ne", "!="] as const).map((name) => [name, is("!=")] as const),
  ...(["gt", "greaterthan", ">"] as const).map((name) => [name, is(">")] as const),
  ...(["ge", ">="] as const).map((name) => [name, is(">=")] as const),
  ...(["lt", "lessthan", "<"] as const).map((name) => [name, is("<")] as const),
  ...(["le", "<="] as const).map((name) => [name, is("<=")] as const),
]);

/** Whether `value is name(args)`. @throws {JinjaError} for a test that does not exist. */
export function runTest(name: string, value: Value, args: readonly Value[]): boolean {
  const test = TESTS.get(name);
  if (test === undefined) throw new JinjaError(`No test named '${name}'.`);
  return test(value, ...args);
}
