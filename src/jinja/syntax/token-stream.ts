/** A cursor over the lexer's tokens, with the tests that a parser needs. */
import { quote } from "../../errors.ts";
import type { Token, TokenType } from "./lexer.ts";
import { JinjaError } from "../values.ts";

const END: Token = { type: "end", text: "" };
/** Deepest nesting that is accepted, deeper than in any template. It keeps the parser's recursion within the stack. */
const MAX_SYNTAX_DEPTH = 200;

export class TokenStream {
  readonly #tokens: readonly Token[];
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  get current(): Token {
    return this.#tokens[this.#at] ?? END;
  }

  next(): Token {
    const token = this.current;
    this.#at++;
    return token;
  }

  is(type: TokenType, text?: string): boolean {
    return this.current.type === type && (text === undefined || this.current.text === text);
  }

  isName(...names: readonly string[]): boolean {
    return this.current.type === "name" && names.includes(this.current.text);
  }

  isOperator(...texts: readonly string[]): boolean {
    return this.current.type === "operator" && texts.includes(this.current.text);
  }

  /** Whether the next token is this one. If so, it is consumed. */
  skip(type: TokenType, text: string): boolean {
    if (!this.is(type, text)) return false;
    this.#at++;
    return true;
  }

  /** Whether the token after the current one is this name. */
  isFollowedBy(name: string): boolean {
    const token = this.#tokens[this.#at + 1];
    return token?.type === "name" && token.text === name;
  }

  expect(type: TokenType, text?: string): Token {
    if (this.is(type, text)) return this.next();
    throw new JinjaError(`expected ${text ?? type}, got ${quote(this.current.text || this.current.type)}`);
  }

  /** Runs one level of nested parsing. @throws {JinjaError} when the template is nested too deep. */
  nested<T>(parse: () => T): T {
    if (++this.#depth > MAX_SYNTAX_DEPTH) throw new JinjaError("the template is nested too deep");
    const result = parse();
    this.#depth--;
    return result;
  }
}
