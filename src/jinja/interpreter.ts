/**
 * Evaluates a parsed template. Walks the tree with Python's values; every node costs a step of the budget.
 * Knows no chat: variables come in as values, text comes out. Source: the behaviour of Jinja 3.1's compiled code.
 */
import type { CallArguments, Expression, Parameter, Statement, Target } from "./ast.ts";
import { Budget } from "./budget.ts";
import { runFilter } from "./filters.ts";
import { type LoopRun, makeLoop } from "./loop-object.ts";
import { attribute, binary, compares, item, signed, slice } from "./operators.ts";
import { toText } from "./printing.ts";
import { Scope } from "./scope.ts";
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

/** How a body ended: with its text alone, or also by leaving the loop around it. */
type Ending = "normal" | "break" | "continue";

/** What a turn of a loop costs before its body: a scope and the `loop` object. */
const LOOP_STEPS = 10;

interface Output {
  text: string;
}

export class Interpreter {
  private readonly budget = new Budget();

  /** The text of a template. @throws {JinjaError} when the template fails or costs too much. */
  render(body: readonly Statement[], globals: ReadonlyMap<string, Value>): string {
    const scope = new Scope();
    for (const [name, value] of globals) scope.set(name, value);
    return this.capture(body, new Scope(scope));
  }

  private capture(body: readonly Statement[], scope: Scope): string {
    const output: Output = { text: "" };
    this.run(body, scope, output);
    return output.text;
  }

  private write(output: Output, text: string): void {
    this.budget.spend(text.length);
    output.text += text;
  }

  private run(body: readonly Statement[], scope: Scope, output: Output): Ending {
    for (const statement of body) {
      const ending = this.execute(statement, scope, output);
      if (ending !== "normal") return ending;
    }
    return "normal";
  }

  private execute(statement: Statement, scope: Scope, output: Output): Ending {
    this.budget.step();
    switch (statement.kind) {
      case "data":
        this.write(output, statement.text);
        return "normal";
      case "print":
        this.write(output, toText(this.evaluate(statement.value, scope)));
        return "normal";
      case "if":
        return this.run(this.chooseBranch(statement, scope), scope, output);
      case "for":
        return this.runFor(statement, scope, output);
      case "break":
      case "continue":
        return statement.kind;
      case "with":
        return this.runWith(statement, scope, output);
      case "scope":
        return this.run(statement.body, new Scope(scope), output);
      case "filter-block":
        this.write(
          output,
          toText(this.evaluate(statement.filter, scope, this.capture(statement.body, new Scope(scope)))),
        );
        return "normal";
      default:
        this.define(statement, scope, output);
        return "normal";
    }
  }

  /** Statements that bind names, and call blocks, which bind `caller`. */
  private define(
    statement: Extract<Statement, { kind: "set" | "set-block" | "macro" | "call-block" }>,
    scope: Scope,
    output: Output,
  ): void {
    if (statement.kind === "set") return this.assign(statement.target, this.evaluate(statement.value, scope), scope);
    if (statement.kind === "macro") return scope.set(statement.name, this.makeMacro(statement, scope));
    if (statement.kind === "set-block") {
      const text = this.capture(statement.body, new Scope(scope));
      return this.assign(
        statement.target,
        statement.filter === undefined ? text : this.evaluate(statement.filter, scope, text),
        scope,
      );
    }
    const caller = this.makeMacro({ name: "caller", parameters: statement.parameters, body: statement.body }, scope);
    if (statement.call.kind !== "call") throw new Error("internal: a call block without a call");
    const args = this.evaluateArguments(statement.call.args, scope);
    const callee = this.evaluate(statement.call.callee, scope);
    this.write(output, toText(this.call(callee, { ...args, keyword: new Map([...args.keyword, ["caller", caller]]) })));
  }

  private chooseBranch(statement: Extract<Statement, { kind: "if" }>, scope: Scope): readonly Statement[] {
    for (const [test, body] of statement.branches) if (isTrue(this.evaluate(test, scope))) return body;
    return statement.otherwise;
  }

  private runWith(statement: Extract<Statement, { kind: "with" }>, scope: Scope, output: Output): Ending {
    const inner = new Scope(scope);
    for (const [target, value] of statement.assignments) this.assign(target, this.evaluate(value, scope), inner);
    return this.run(statement.body, inner, output);
  }

  private assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === "name") return scope.set(target.name, value);
    if (target.kind === "attribute") {
      const object = scope.get(target.object);
      if (object instanceof PyObject && object.typeName === "Namespace")
        return void object.attributes.set(target.name, value);
      throw new JinjaError("cannot assign attribute on non-namespace object");
    }
    const values = iterate(value);
    Scope.checkUnpack(target.items.length, values.length);
    target.items.forEach((part, i) => this.assign(part, values[i] as Value, scope));
  }

  private runFor(statement: Extract<Statement, { kind: "for" }>, scope: Scope, output: Output): Ending {
    return this.loop(statement, this.evaluate(statement.iterable, scope), scope, output, 0);
  }

  private loop(
    statement: Extract<Statement, { kind: "for" }>,
    iterable: Value,
    scope: Scope,
    output: Output,
    depth: number,
  ): Ending {
    const items = iterate(iterable).filter((value) => this.passes(statement, value, scope));
    this.budget.step(items.length);
    const { target } = statement;
    const recurse = (next: Value): string => {
      const inner: Output = { text: "" };
      this.budget.nested(() => this.loop(statement, next, scope, inner, depth + 1));
      return inner.text;
    };
    const run: LoopRun = { items, depth, recurse: statement.isRecursive ? recurse : undefined, last: undefined };
    for (let i = 0; i < items.length; i++) {
      this.budget.step(LOOP_STEPS);
      const inner = new Scope(scope);
      inner.set("loop", makeLoop(run, i));
      this.assign(target, items[i] as Value, inner);
      if (this.run(statement.body, inner, output) === "break") break;
    }
    return items.length === 0 ? this.run(statement.otherwise, new Scope(scope), output) : "normal";
  }

  private passes(statement: Extract<Statement, { kind: "for" }>, value: Value, scope: Scope): boolean {
    if (statement.test === undefined) return true;
    const inner = new Scope(scope);
    this.assign(statement.target, value, inner);
    return isTrue(this.evaluate(statement.test, inner));
  }

  private makeMacro(
    macro: { name: string; parameters: readonly Parameter[]; body: readonly Statement[] },
    scope: Scope,
  ): PyObject {
    const call = (args: Arguments): Value =>
      this.budget.nested(() => this.capture(macro.body, this.bindMacro(macro.parameters, args, scope)));
    return new PyObject("Macro", {
      call,
      attributes: new Map([["name", macro.name]]),
      printed: `<Macro '${macro.name}'>`,
    });
  }

  private bindMacro(parameters: readonly Parameter[], args: Arguments, outer: Scope): Scope {
    const scope = new Scope(outer);
    const keyword = new Map(args.keyword);
    parameters.forEach((parameter, i) => {
      const given = args.positional[i] ?? (i < args.positional.length ? null : keyword.get(parameter.name));
      keyword.delete(parameter.name);
      const initial = parameter.initial;
      const missing = new Undefined(`parameter '${parameter.name}' was not provided`);
      const fallback = (): Value => (initial === undefined ? missing : this.evaluate(initial, scope));
      scope.set(parameter.name, given === undefined ? fallback() : given); // None is a value
    });
    const caller = keyword.get("caller");
    if (caller !== undefined) scope.set("caller", caller);
    keyword.delete("caller");
    scope.set("kwargs", new Map<Value, Value>(keyword));
    scope.set("varargs", new Tuple(args.positional.slice(parameters.length)));
    return scope;
  }

  private evaluateArguments(args: CallArguments, scope: Scope): Arguments {
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

  /** What a builtin built is paid for afterwards: one of them alone cannot outgrow the heap. */
  private paid(value: Value): Value {
    if (typeof value === "string" || Array.isArray(value)) this.budget.spend(value.length);
    return value;
  }

  private call(callee: Value, args: Arguments): Value {
    if (callee instanceof Undefined) throw new JinjaError(callee.message);
    if (callee instanceof PyObject && callee.call !== undefined) return this.paid(callee.call(args));
    throw new JinjaError(`'${typeName(callee)}' object is not callable`);
  }

  /** @param blockText what a filter without an object is applied to. */
  private evaluate(expression: Expression, scope: Scope, blockText = ""): Value {
    this.budget.step();
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
        return slice(this.evaluate(expression.object, scope), bounds);
      }
      case "call":
        return this.call(this.evaluate(expression.callee, scope), this.evaluateArguments(expression.args, scope));
      case "filter": {
        const value = expression.object === undefined ? blockText : this.evaluate(expression.object, scope, blockText);
        return this.paid(
          runFilter(expression.name, value, this.evaluateArguments(expression.args, scope), this.budget),
        );
      }
      case "test": {
        const value = this.evaluate(expression.object, scope);
        return runTest(expression.name, value, this.evaluateArguments(expression.args, scope).positional);
      }
      default:
        return this.evaluateOperator(expression, scope);
    }
  }

  private evaluateOperator(
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
          this.budget,
        );
      case "and":
      case "or": {
        const left = this.evaluate(expression.left, scope);
        return isTrue(left) === (expression.kind === "or") ? left : this.evaluate(expression.right, scope);
      }
      case "concat": {
        const text = expression.items.map((value) => toText(this.evaluate(value, scope))).join("");
        this.budget.spend(text.length);
        return text;
      }
      case "compare":
        return this.compareChain(expression, scope);
      case "condition": {
        if (isTrue(this.evaluate(expression.test, scope))) return this.evaluate(expression.whenTrue, scope);
        if (expression.otherwise !== undefined) return this.evaluate(expression.otherwise, scope);
        return new Undefined("the inline if-expression evaluated to false and no else section was defined.");
      }
    }
  }

  private compareChain(expression: Extract<Expression, { kind: "compare" }>, scope: Scope): boolean {
    let left = this.evaluate(expression.first, scope);
    for (const [operator, operand] of expression.rest) {
      const right = this.evaluate(operand, scope);
      if (!compares(operator, left, right)) return false;
      left = right;
    }
    return true;
  }
}
