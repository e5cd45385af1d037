/**
 * Statements: tokens → tree of a whole template. Tags are a table, so a new tag is one line and one function. Source:
 * Jinja 3.1 `Parser`, the loop-control extension, and transformers' `generation` tag (a mark without effect here).
 */
import type { Expression, Parameter, Statement, Target } from "./ast.ts";
import { lexTemplate } from "./lexer.ts";
import { parseExpression, parseFilterChain, parseOr, parseTuple } from "./parse-expression.ts";
import { TokenStream } from "./token-stream.ts";
import { JinjaError } from "../values.ts";

/** The tree of a template. @throws {JinjaError} when the source is not a template. */
export function parseTemplate(source: string): readonly Statement[] {
  const tokens = new TokenStream(lexTemplate(source));
  const body = parseBody(tokens, []);
  tokens.expect("end");
  return body;
}

/**
 * Statements up to a tag named in `ends`, whose `{% name` is consumed. An empty `ends` reads to the end of the
 * template.
 */
function parseBody(tokens: TokenStream, ends: readonly string[]): Statement[] {
  const body: Statement[] = [];
  while (!tokens.is("end")) {
    if (tokens.is("data")) body.push({ kind: "data", text: tokens.next().text });
    else if (tokens.is("begin-print")) {
      tokens.next();
      body.push({ kind: "print", value: parseTuple(tokens) });
      tokens.expect("end-print");
    } else {
      tokens.expect("begin-block");
      if (tokens.isName(...ends)) return body;
      body.push(tokens.nested(() => parseStatement(tokens)));
    }
  }
  if (ends.length > 0) throw new JinjaError(`unexpected end of template, expected ${ends.join(" or ")}`);
  return body;
}

/** The body up to `{% end %}`, that tag included. */
function parseBlock(tokens: TokenStream, end: string): Statement[] {
  tokens.expect("end-block");
  const body = parseBody(tokens, [end]);
  tokens.next();
  tokens.expect("end-block");
  return body;
}

const TAGS = new Map<string, (tokens: TokenStream) => Statement>([
  ["if", parseIf],
  ["for", parseFor],
  ["set", parseSet],
  ["macro", parseMacro],
  ["call", parseCallBlock],
  [
    "filter",
    (tokens) => ({ kind: "filter-block", filter: parseFilterChain(tokens), body: parseBlock(tokens, "endfilter") }),
  ],
  ["with", parseWith],
  ["generation", (tokens) => ({ kind: "scope", body: parseBlock(tokens, "endgeneration") })],
  ["break", (tokens) => endTag(tokens, { kind: "break" })],
  ["continue", (tokens) => endTag(tokens, { kind: "continue" })],
]);

function parseStatement(tokens: TokenStream): Statement {
  const { text } = tokens.expect("name");
  const parse = TAGS.get(text);
  if (parse !== undefined) return parse(tokens);
  if (["include", "import", "from", "extends", "block"].includes(text)) {
    throw new JinjaError(`'${text}' is not available: a chat template stands alone`);
  }
  throw new JinjaError(`Encountered unknown tag '${text}'.`);
}

function endTag(tokens: TokenStream, statement: Statement): Statement {
  tokens.expect("end-block");
  return statement;
}

function parseIf(tokens: TokenStream): Statement {
  const branches: [Expression, Statement[]][] = [];
  let otherwise: Statement[] = [];
  for (;;) {
    const test = parseTuple(tokens, parseOr);
    tokens.expect("end-block");
    branches.push([test, parseBody(tokens, ["elif", "else", "endif"])]);
    const { text } = tokens.next();
    if (text === "elif") continue;
    if (text === "else") {
      otherwise = parseBlock(tokens, "endif");
      break;
    }
    tokens.expect("end-block");
    break;
  }
  return { kind: "if", branches, otherwise };
}

function parseFor(tokens: TokenStream): Statement {
  const target = parseTarget(tokens);
  tokens.expect("name", "in");
  const iterable = parseTuple(tokens, parseOr);
  const test = tokens.skip("name", "if") ? parseExpression(tokens) : undefined;
  const isRecursive = tokens.skip("name", "recursive");
  tokens.expect("end-block");
  const body = parseBody(tokens, ["else", "endfor"]);
  const otherwise = tokens.next().text === "else" ? parseBlock(tokens, "endfor") : endOf(tokens);
  return { kind: "for", target, iterable, test, isRecursive, body, otherwise };
}

function endOf(tokens: TokenStream): Statement[] {
  tokens.expect("end-block");
  return [];
}

function parseTarget(tokens: TokenStream): Target {
  const items: Target[] = [];
  let isTuple = false;
  while (!tokens.isName("in") && !tokens.isOperator(")", "=")) {
    items.push(parseSingleTarget(tokens));
    if (!tokens.skip("operator", ",")) break;
    isTuple = true;
  }
  const [first] = items;
  if (first === undefined) throw new JinjaError("expected something to assign to");
  return isTuple ? { kind: "tuple", items } : first;
}

function parseSingleTarget(tokens: TokenStream): Target {
  if (tokens.skip("operator", "(")) {
    const target = parseTarget(tokens);
    tokens.expect("operator", ")");
    return target;
  }
  const { text } = tokens.expect("name");
  if (!tokens.skip("operator", ".")) return { kind: "name", name: text };
  return { kind: "attribute", object: text, name: tokens.expect("name").text };
}

function parseSet(tokens: TokenStream): Statement {
  const target = parseTarget(tokens);
  if (tokens.skip("operator", "=")) {
    const value = parseTuple(tokens);
    tokens.expect("end-block");
    return { kind: "set", target, value };
  }
  const filter = tokens.skip("operator", "|") ? parseFilterChain(tokens) : undefined;
  return { kind: "set-block", target, filter, body: parseBlock(tokens, "endset") };
}

function parseParameters(tokens: TokenStream): Parameter[] {
  const parameters: Parameter[] = [];
  tokens.expect("operator", "(");
  while (!tokens.isOperator(")")) {
    if (parameters.length > 0) tokens.expect("operator", ",");
    const name = tokens.expect("name").text;
    parameters.push({ name, initial: tokens.skip("operator", "=") ? parseExpression(tokens) : undefined });
  }
  tokens.next();
  return parameters;
}

function parseMacro(tokens: TokenStream): Statement {
  const name = tokens.expect("name").text;
  return { kind: "macro", name, parameters: parseParameters(tokens), body: parseBlock(tokens, "endmacro") };
}

function parseCallBlock(tokens: TokenStream): Statement {
  const parameters = tokens.isOperator("(") ? parseParameters(tokens) : [];
  const call = parseExpression(tokens);
  if (call.kind !== "call") throw new JinjaError("expected a call in a call block");
  return { kind: "call-block", call, parameters, body: parseBlock(tokens, "endcall") };
}

function parseWith(tokens: TokenStream): Statement {
  const assignments: [Target, Expression][] = [];
  while (!tokens.is("end-block")) {
    if (assignments.length > 0) tokens.expect("operator", ",");
    const target = parseSingleTarget(tokens);
    tokens.expect("operator", "=");
    assignments.push([target, parseExpression(tokens)]);
  }
  return { kind: "with", assignments, body: parseBlock(tokens, "endwith") };
}
