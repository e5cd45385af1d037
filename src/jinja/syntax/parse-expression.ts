/**
 * Expressions: tokens → tree, with one function for each level of precedence, lowest first. Source: the grammar of
 * Jinja 3.1 (`Parser.parse_expression` and below). Templates rely on its odd precedences.
 */
import type { CallArguments, Expression } from "./ast.ts";
import type { TokenStream } from "./token-stream.ts";
import { JinjaError } from "../values.ts";

const NO_ARGUMENTS: CallArguments = { positional: [], keyword: [] };
const CONSTANTS = new Map<string, null | boolean>([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
  ["none", null],
  ["None", null],
]);
const COMPARISONS = ["==", "!=", "<", "<=", ">", ">="];

/** `a if b else c` and everything that binds tighter. */
export function parseExpression(tokens: TokenStream): Expression {
  return tokens.nested(() => {
    let result = parseOr(tokens);
    while (tokens.skip("name", "if")) {
      const test = parseOr(tokens);
      const otherwise = tokens.skip("name", "else") ? parseExpression(tokens) : undefined;
      result = { kind: "condition", test, whenTrue: result, otherwise };
    }
    return result;
  });
}

/** One expression, or a tuple where commas follow. `parseItem` is `parseOr` where a bare `if` must not be consumed. */
export function parseTuple(tokens: TokenStream, parseItem = parseExpression, isParenthesised = false): Expression {
  const items: Expression[] = [];
  let isTuple = false;
  while (!isTupleEnd(tokens)) {
    items.push(parseItem(tokens));
    if (!tokens.skip("operator", ",")) break;
    isTuple = true;
  }
  const [first] = items;
  if (!isTuple && first !== undefined) return first;
  if (items.length === 0 && !isParenthesised)
    throw new JinjaError(`Expected an expression, got '${tokens.current.text || "end"}'`);
  return { kind: "tuple", items };
}

function isTupleEnd(tokens: TokenStream): boolean {
  return tokens.is("end-print") || tokens.is("end-block") || tokens.isOperator(")") || tokens.isName("recursive");
}

export function parseOr(tokens: TokenStream): Expression {
  let left = parseAnd(tokens);
  while (tokens.skip("name", "or")) left = { kind: "or", left, right: parseAnd(tokens) };
  return left;
}

function parseAnd(tokens: TokenStream): Expression {
  let left = parseNot(tokens);
  while (tokens.skip("name", "and")) left = { kind: "and", left, right: parseNot(tokens) };
  return left;
}

function parseNot(tokens: TokenStream): Expression {
  if (!tokens.skip("name", "not")) return parseComparison(tokens);
  return { kind: "not", operand: tokens.nested(() => parseNot(tokens)) };
}

function parseComparison(tokens: TokenStream): Expression {
  const first = parseSum(tokens);
  const rest: [string, Expression][] = [];
  for (;;) {
    if (tokens.isOperator(...COMPARISONS)) rest.push([tokens.next().text, parseSum(tokens)]);
    else if (tokens.skip("name", "in")) rest.push(["in", parseSum(tokens)]);
    else if (tokens.isName("not") && tokens.isFollowedBy("in")) {
      tokens.next();
      tokens.next();
      rest.push(["not in", parseSum(tokens)]);
    } else break;
  }
  return rest.length === 0 ? first : { kind: "compare", first, rest };
}

function parseBinary(
  tokens: TokenStream,
  operators: string[],
  parseOperand: (tokens: TokenStream) => Expression,
): Expression {
  let left = parseOperand(tokens);
  while (tokens.isOperator(...operators)) {
    left = { kind: "binary", operator: tokens.next().text, left, right: parseOperand(tokens) };
  }
  return left;
}

function parseSum(tokens: TokenStream): Expression {
  return parseBinary(tokens, ["+", "-"], parseConcat);
}

function parseConcat(tokens: TokenStream): Expression {
  const items = [parseProduct(tokens)];
  while (tokens.skip("operator", "~")) items.push(parseProduct(tokens));
  return items.length === 1 ? (items[0] as Expression) : { kind: "concat", items };
}

function parseProduct(tokens: TokenStream): Expression {
  return parseBinary(tokens, ["*", "/", "//", "%"], parsePower);
}

function parsePower(tokens: TokenStream): Expression {
  return parseBinary(tokens, ["**"], parseUnary);
}

function parseUnary(tokens: TokenStream): Expression {
  return parseFilters(tokens, parseSigned(tokens));
}

/** A sign binds tighter than a filter: `-5 | abs` is 5. */
function parseSigned(tokens: TokenStream): Expression {
  if (tokens.skip("operator", "-")) return { kind: "negate", operand: tokens.nested(() => parseSigned(tokens)) };
  if (tokens.skip("operator", "+")) return { kind: "plus", operand: tokens.nested(() => parseSigned(tokens)) };
  return parsePostfix(tokens, parsePrimary(tokens));
}

function parsePrimary(tokens: TokenStream): Expression {
  const token = tokens.next();
  if (token.type === "name") {
    const constant = CONSTANTS.get(token.text);
    return constant === undefined ? { kind: "name", name: token.text } : { kind: "constant", value: constant };
  }
  if (token.type === "string") {
    let text = token.text;
    while (tokens.is("string")) text += tokens.next().text;
    return { kind: "constant", value: text };
  }
  if (token.type === "int") return { kind: "constant", value: parseInteger(token.text) };
  if (token.type === "float") return { kind: "constant", value: Number(token.text.replaceAll("_", "")) };
  if (token.type !== "operator") throw new JinjaError(`unexpected '${token.text || "end of template"}'`);
  if (token.text === "(") {
    const tuple = parseTuple(tokens, parseExpression, true);
    tokens.expect("operator", ")");
    return tuple;
  }
  if (token.text === "[") return { kind: "list", items: parseList(tokens, "]", parseExpression) };
  if (token.text === "{") return { kind: "dict", entries: parseList(tokens, "}", parseEntry) };
  throw new JinjaError(`unexpected '${token.text}'`);
}

function parseInteger(text: string): bigint {
  const digits = text.replaceAll("_", "");
  return BigInt(/^0+$/.test(digits) ? "0" : digits);
}

function parseEntry(tokens: TokenStream): [Expression, Expression] {
  const key = parseExpression(tokens);
  tokens.expect("operator", ":");
  return [key, parseExpression(tokens)];
}

/** Items separated by commas up to `close`, which is consumed too. A comma after the last item is allowed. */
function parseList<T>(tokens: TokenStream, close: string, parseItem: (tokens: TokenStream) => T): T[] {
  const items: T[] = [];
  while (!tokens.isOperator(close)) {
    if (items.length > 0) tokens.expect("operator", ",");
    if (tokens.isOperator(close)) break;
    items.push(parseItem(tokens));
  }
  tokens.next();
  return items;
}

function parsePostfix(tokens: TokenStream, start: Expression): Expression {
  let object = start;
  for (;;) {
    if (tokens.skip("operator", ".")) {
      const token = tokens.next();
      if (token.type === "name") object = { kind: "attribute", object, name: token.text };
      else if (token.type === "int")
        object = { kind: "item", object, key: { kind: "constant", value: parseInteger(token.text) } };
      else throw new JinjaError("expected name or number after a dot");
    } else if (tokens.skip("operator", "[")) object = parseSubscript(tokens, object);
    else if (tokens.isOperator("(")) object = { kind: "call", callee: object, args: parseArguments(tokens) };
    else return object;
  }
}

function parseSubscript(tokens: TokenStream, object: Expression): Expression {
  const bounds: (Expression | undefined)[] = [undefined];
  while (!tokens.isOperator("]", ",")) {
    if (tokens.skip("operator", ":")) bounds.push(undefined);
    else if (bounds.at(-1) === undefined) bounds[bounds.length - 1] = parseExpression(tokens);
    else throw new JinjaError(`unexpected '${tokens.current.text || "end"}' in a subscript`);
  }
  const [key] = bounds;
  if (tokens.isOperator(",") || bounds.length > 3) throw new JinjaError("a subscript takes one key or one slice");
  tokens.next();
  if (bounds.length > 1) return { kind: "slice", object, bounds };
  if (key === undefined) throw new JinjaError("expected an expression in a subscript");
  return { kind: "item", object, key };
}

/** The arguments of a call, brackets included. */
function parseArguments(tokens: TokenStream): CallArguments {
  tokens.expect("operator", "(");
  const positional: Expression[] = [];
  const keyword: [string, Expression][] = [];
  const spreads: { spread?: Expression; spreadKeyword?: Expression } = {};
  parseList(tokens, ")", () => {
    if (tokens.skip("operator", "*")) {
      spreads.spread = parseExpression(tokens);
    } else if (tokens.skip("operator", "**")) {
      spreads.spreadKeyword = parseExpression(tokens);
    } else {
      const value = parseExpression(tokens);
      if (value.kind === "name" && tokens.skip("operator", "=")) keyword.push([value.name, parseExpression(tokens)]);
      else if (keyword.length > 0) throw new JinjaError("a positional argument follows a keyword argument");
      else positional.push(value);
    }
  });
  return { positional, keyword, ...spreads };
}

function parseFilters(tokens: TokenStream, start: Expression): Expression {
  let object = start;
  for (;;) {
    if (tokens.skip("operator", "|")) object = parseFilter(tokens, object);
    else if (tokens.skip("name", "is")) object = parseTest(tokens, object);
    else if (tokens.isOperator("(")) object = { kind: "call", callee: object, args: parseArguments(tokens) };
    else return object;
  }
}

function parseDottedName(tokens: TokenStream): string {
  let name = tokens.expect("name").text;
  while (tokens.skip("operator", ".")) name += `.${tokens.expect("name").text}`;
  return name;
}

/** The filter with the name at the cursor, applied to `object`. */
function parseFilter(tokens: TokenStream, object: Expression | undefined): Expression {
  const name = parseDottedName(tokens);
  return { kind: "filter", object, name, args: tokens.isOperator("(") ? parseArguments(tokens) : NO_ARGUMENTS };
}

/** A chain of filters on a block's text: `{% filter a | b %}`. */
export function parseFilterChain(tokens: TokenStream): Expression {
  let filter = parseFilter(tokens, undefined);
  while (tokens.skip("operator", "|")) filter = parseFilter(tokens, filter);
  return filter;
}

function parseTest(tokens: TokenStream, object: Expression): Expression {
  const isNegated = tokens.skip("name", "not");
  const name = parseDottedName(tokens);
  const test: Expression = { kind: "test", object, name, args: parseTestArguments(tokens) };
  return isNegated ? { kind: "not", operand: test } : test;
}

/** A test accepts one argument without brackets: `is divisibleby 3`, `is in list`. */
function parseTestArguments(tokens: TokenStream): CallArguments {
  if (tokens.isOperator("(")) return parseArguments(tokens);
  const isOperand = tokens.is("string") || tokens.is("int") || tokens.is("float") || tokens.isOperator("[", "{");
  const isName = tokens.is("name") && !tokens.isName("else", "or", "and", "is", "if", "not", "in", "recursive");
  if (!isOperand && !isName) return NO_ARGUMENTS;
  return { positional: [parsePostfix(tokens, parsePrimary(tokens))], keyword: [] };
}
