/**
 * `calculate_output` of a multi grader: arithmetic over the scores of its graders, by their names.
 * Operators + - * / ^ and the functions of OpenAI's graders. Knows nothing of the graders.
 */
import { AppError, quote } from "../errors.ts";

/** @throws {AppError} training_failed: the result is not a finite number */
export type Formula = (scores: Readonly<Record<string, number>>) => number;

const FUNCTIONS: Readonly<Record<string, (...values: number[]) => number>> = {
  min: Math.min,
  max: Math.max,
  abs: Math.abs,
  floor: Math.floor,
  ceil: Math.ceil,
  exp: Math.exp,
  sqrt: Math.sqrt,
  log: Math.log,
};
const TOKEN = /\s*(?:(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)|([A-Za-z_]\w*)|([-+*/^(),]))/iy;
/** Parentheses in parentheses. */
const MAX_FORMULA_DEPTH = 64;

/** @param names of the graders @param path of the formula, for messages @throws {AppError} invalid_request */
export function compileFormula(text: string, names: readonly string[], path: string): Formula {
  const formula = new Parser(text, names, path).parse();
  return (scores) => {
    const value = formula(scores);
    if (Number.isFinite(value)) return value;
    throw new AppError("training_failed", `"${path}" gave ${value} for ${quote(scores)}. Correct the formula.`);
  };
}

class Parser {
  readonly #tokens: readonly string[];
  readonly #names: readonly string[];
  readonly #path: string;
  #at = 0;
  #depth = 0;

  constructor(text: string, names: readonly string[], path: string) {
    this.#names = names;
    this.#path = path;
    this.#tokens = this.#split(text);
  }

  parse(): Formula {
    const whole = this.#sum();
    if (this.#at < this.#tokens.length) this.#refuse(`has "${this.#next}" where it should end`);
    return whole;
  }

  #split(text: string): readonly string[] {
    const tokens: string[] = [];
    TOKEN.lastIndex = 0;
    const whole = text.trimEnd();
    for (let at = 0; at < whole.length; at = TOKEN.lastIndex) {
      TOKEN.lastIndex = at;
      const found = TOKEN.exec(whole);
      if (!found) return this.#refuse(`has ${quote(whole.slice(at, at + 20))}, which is no part of a formula`);
      tokens.push(found[1] ?? found[2] ?? found[3] ?? "");
    }
    return tokens;
  }

  get #next(): string {
    return this.#tokens[this.#at] ?? "";
  }

  #takes(...tokens: readonly string[]): string | null {
    if (!tokens.includes(this.#next) || this.#next === "") return null;
    return this.#tokens[this.#at++] ?? null;
  }

  #sum(): Formula {
    let left = this.#product();
    for (let sign = this.#takes("+", "-"); sign !== null; sign = this.#takes("+", "-")) {
      const [a, b, direction] = [left, this.#product(), sign === "+" ? 1 : -1];
      left = (scores) => a(scores) + direction * b(scores);
    }
    return left;
  }

  #product(): Formula {
    let left = this.#negated();
    for (let operator = this.#takes("*", "/"); operator !== null; operator = this.#takes("*", "/")) {
      const [a, b, isProduct] = [left, this.#negated(), operator === "*"];
      left = (scores) => (isProduct ? a(scores) * b(scores) : a(scores) / b(scores));
    }
    return left;
  }

  #negated(): Formula {
    if (this.#takes("-") === null) return this.#power();
    const value = this.#nested(() => this.#negated());
    return (scores) => -value(scores);
  }

  #power(): Formula {
    const base = this.#value();
    if (this.#takes("^") === null) return base;
    const exponent = this.#nested(() => this.#negated()); // from the right: 2^3^2 is 2^9
    return (scores) => base(scores) ** exponent(scores);
  }

  #value(): Formula {
    const token = this.#next;
    this.#at++;
    if (/^[\d.]/.test(token)) return () => Number(token);
    if (token === "(") return this.#nested(() => this.#closed(() => this.#sum()));
    if (this.#names.includes(token)) return (scores) => scores[token] ?? Number.NaN;
    const call = Object.hasOwn(FUNCTIONS, token) ? FUNCTIONS[token] : undefined;
    if (call && this.#takes("(") !== null) {
      const values = this.#nested(() => this.#closed(() => this.#list()));
      return (scores) => call(...values.map((value) => value(scores)));
    }
    if (token === "") return this.#refuse("ends where a value should follow");
    return this.#refuse(
      `has "${token}". Expected a number, parentheses or one of: ${[...this.#names, ...Object.keys(FUNCTIONS).map((name) => `${name}()`)].join(", ")}`,
    );
  }

  #list(): readonly Formula[] {
    const values = [this.#sum()];
    while (this.#takes(",") !== null) values.push(this.#sum());
    return values;
  }

  #closed<T>(read: () => T): T {
    const value = read();
    if (this.#takes(")") === null) this.#refuse("lacks a closing parenthesis");
    return value;
  }

  #nested<T>(read: () => T): T {
    if (++this.#depth > MAX_FORMULA_DEPTH) this.#refuse(`is nested more than ${MAX_FORMULA_DEPTH} times`);
    const value = read();
    this.#depth--;
    return value;
  }

  #refuse(reason: string): never {
    throw new AppError("invalid_request", `"${this.#path}" ${reason}.`, { param: this.#path });
  }
}
