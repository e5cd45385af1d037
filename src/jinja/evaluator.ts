/**
 * Evaluates expressions with Python's values; every node costs a step of the budget. Knows no statement.
 * Source: the behaviour of Jinja 3.1's compiled code.
 */
import type { CallArguments, Expression } from "./syntax/ast.ts";
import type { Budget } from "./budget.ts";
import { runFilter } from "./filters.ts";
import { attribute, binary, compares, item, signed, sliceOf } from "./operators.ts";
import { toText } from "./printing.ts";
import type { Scope } from "./scope.ts";
import { runTest } from "./tests.ts";
import {
  type Arguments,
  isTrue,
  iterate,
  JinjaError,
  PyObject,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

export class Evaluator {
  readonly #budget: Budget;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** Arguments of a call, in order: positional, keyword, then those of * and **. */
  evaluateArguments(args: CallArguments, scope: Scope): Arguments {
    const positional = args.positional.map((value) => this.evaluate(value, scope));
    const keyword = new Map(args.keyword.map(([name, value]) => [name, this.evaluate(value, scope)]));
    if (args.spread !== undefined) positional.push(...iterate(this.evaluate(args.spread, scope)));
    if (args.spreadKeyword !== undefined) {
      const more = this.evaluate(args.spreadKeyword, scope);
      if (!(more instanceof Map)) throw new JinjaError("argument after ** must be a mapping");
      for (const [name, value] of more) keyword.set(toText(name), value);
    }
    return { positional, keyword };
  }

  /** A builtin's result is charged after it is built. A single result cannot outgrow the heap. */
  #paid(value: Value): Value {
    if (typeof value === "string" || Array.isArray(value)) this.#budget.spend(value.length);
    return value;
  }

  /** @throws {JinjaError} for a value that cannot be called */
  call(callee: Value, args: Arguments): Value {
    if (callee instanceof Undefined) throw new JinjaError(callee.message);
    if (callee instanceof PyObject && callee.call !== undefined) return this.#paid(callee.call(args));
    throw new JinjaError(`'${typeName(callee)}' object is not callable`);
  }

  /** The value of an expression. @param blockText input of a filter without an object. */
  evaluate(expression: Expression, scope: Scope, blockText = ""): Value {
    this.#budget.step();
    switch (expression.kind) {
      case "constant":
        return expression.value;
      case "name":
        return scope.get(expression.name);
      case "list":
        return expression.items.map((value) => this.evaluate(value, scope));
      case "tuple":
        return new Tuple(expression.items.map((value) => this.evaluate(value, scope)));
      case "dict":
        return new Map(
          expression.entries.map(([key, value]) => [this.evaluate(key, scope), this.evaluate(value, scope)]),
        );
      case "attribute":
        return attribute(this.evaluate(expression.object, scope), expression.name);
      case "item":
        return item(this.evaluate(expression.object, scope), this.evaluate(expression.key, scope));
      case "slice": {
        const bounds = expression.bounds.map((bound) =>
          bound === undefined ? undefined : this.evaluate(bound, scope),
        );
        return sliceOf(this.evaluate(expression.object, scope), bounds);
      }
      case "call":
        return this.call(this.evaluate(expression.callee, scope), this.evaluateArguments(expression.args, scope));
      case "filter": {
        const value = expression.object === undefined ? blockText : this.evaluate(expression.object, scope, blockText);
        return this.#paid(
          runFilter(expression.name, value, this.evaluateArguments(expression.args, scope), this.#budget),
        );
      }
      case "test": {
        const value = this.evaluate(expression.object, scope);
        return runTest(expression.name, value, this.evaluateArguments(expression.args, scope).positional);
      }
      default:
        return this.#evaluateOperator(expression, scope);
    }
  }

  #evaluateOperator(
    expression: Extract<
      Expression,
      { kind: "not" | "negate" | "plus" | "binary" | "and" | "or" | "concat" | "compare" | "condition" }
    >,
    scope: Scope,
  ): Value {
    switch (expression.kind) {
      case "not":
        return !isTrue(this.evaluate(expression.operand, scope));
      case "negate":
      case "plus":
        return signed(expression.kind, this.evaluate(expression.operand, scope));
      case "binary":
        return binary(
          expression.operator,
          this.evaluate(expression.left, scope),
          this.evaluate(expression.right, scope),
          this.#budget,
        );
      case "and":
      case "or": {
        const left = this.evaluate(expression.left, scope);
        return isTrue(left) === (expression.kind === "or") ? left : this.evaluate(expression.right, scope);
      }
      case "concat": {
        const text = expression.items.map((value) => toText(this.evaluate(value, scope))).join("");
        this.#budget.spend(text.length);
        return text;
      }
      case "compare":
        return this.#compareChain(expression, scope);
      case "condition": {
        if (isTrue(this.evaluate(expression.test, scope))) return this.evaluate(expression.whenTrue, scope);
        if (expression.otherwise !== undefined) return this.evaluate(expression.otherwise, scope);
        return new Undefined("the inline if-expression evaluated to false and no else section was defined.");
      }
    }
  }

  #compareChain(expression: Extract<Expression, { kind: "compare" }>, scope: Scope): boolean {
    let left = this.evaluate(expression.first, scope);
    for (const [operator, operand] of expression.rest) {
      const right = this.evaluate(operand, scope);
      if (!compares(operator, left, right)) return false;
      left = right;
    }
    return true;
  }
}
