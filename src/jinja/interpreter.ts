/**
 * Runs a parsed template: statements here, expressions in `evaluator.ts`. Every node costs a step of the budget.
 * Knows no chat: variables come in as values, text comes out. Source: the behaviour of Jinja 3.1's compiled code.
 */
import type { Parameter, Statement, Target } from "./syntax/ast.ts";
import { Budget } from "./budget.ts";
import { Evaluator } from "./evaluator.ts";
import { type LoopRun, makeLoop } from "./loop-object.ts";
import { toText } from "./printing.ts";
import { Scope } from "./scope.ts";
import { type Arguments, isTrue, iterate, JinjaError, PyObject, Tuple, Undefined, type Value } from "./values.ts";

/** The end of a body: its text, and whether it leaves the loop around it. */
type Ending = "normal" | "break" | "continue";

/** Cost of a loop iteration before its body: a scope and the `loop` object. */
const LOOP_STEPS = 10;

interface Output {
  text: string;
}

export class Interpreter {
  readonly #budget = new Budget();
  readonly #evaluator = new Evaluator(this.#budget);

  /** The text of a template. @throws {JinjaError} where the template fails or exceeds its budget. */
  render(body: readonly Statement[], globals: ReadonlyMap<string, Value>): string {
    const scope = new Scope();
    for (const [name, value] of globals) scope.set(name, value);
    return this.#capture(body, new Scope(scope));
  }

  #capture(body: readonly Statement[], scope: Scope): string {
    const output: Output = { text: "" };
    this.#run(body, scope, output);
    return output.text;
  }

  #write(output: Output, text: string): void {
    this.#budget.spend(text.length);
    output.text += text;
  }

  #run(body: readonly Statement[], scope: Scope, output: Output): Ending {
    for (const statement of body) {
      const ending = this.#execute(statement, scope, output);
      if (ending !== "normal") return ending;
    }
    return "normal";
  }

  #execute(statement: Statement, scope: Scope, output: Output): Ending {
    this.#budget.step();
    switch (statement.kind) {
      case "data":
        this.#write(output, statement.text);
        return "normal";
      case "print":
        this.#write(output, toText(this.#evaluator.evaluate(statement.value, scope)));
        return "normal";
      case "if":
        return this.#run(this.#chooseBranch(statement, scope), scope, output);
      case "for":
        return this.#runFor(statement, scope, output);
      case "break":
      case "continue":
        return statement.kind;
      case "with":
        return this.#runWith(statement, scope, output);
      case "scope":
        return this.#run(statement.body, new Scope(scope), output);
      case "filter-block":
        this.#write(
          output,
          toText(this.#evaluator.evaluate(statement.filter, scope, this.#capture(statement.body, new Scope(scope)))),
        );
        return "normal";
      default:
        this.#define(statement, scope, output);
        return "normal";
    }
  }

  /** Statements that bind names, and call blocks, which bind `caller`. */
  #define(
    statement: Extract<Statement, { kind: "set" | "set-block" | "macro" | "call-block" }>,
    scope: Scope,
    output: Output,
  ): void {
    if (statement.kind === "set")
      return this.#assign(statement.target, this.#evaluator.evaluate(statement.value, scope), scope);
    if (statement.kind === "macro") return scope.set(statement.name, this.#makeMacro(statement, scope));
    if (statement.kind === "set-block") {
      const text = this.#capture(statement.body, new Scope(scope));
      return this.#assign(
        statement.target,
        statement.filter === undefined ? text : this.#evaluator.evaluate(statement.filter, scope, text),
        scope,
      );
    }
    const caller = this.#makeMacro({ name: "caller", parameters: statement.parameters, body: statement.body }, scope);
    if (statement.call.kind !== "call") throw new Error("internal: a call block without a call");
    const args = this.#evaluator.evaluateArguments(statement.call.args, scope);
    const callee = this.#evaluator.evaluate(statement.call.callee, scope);
    this.#write(
      output,
      toText(this.#evaluator.call(callee, { ...args, keyword: new Map([...args.keyword, ["caller", caller]]) })),
    );
  }

  #chooseBranch(statement: Extract<Statement, { kind: "if" }>, scope: Scope): readonly Statement[] {
    for (const [test, body] of statement.branches) if (isTrue(this.#evaluator.evaluate(test, scope))) return body;
    return statement.otherwise;
  }

  #runWith(statement: Extract<Statement, { kind: "with" }>, scope: Scope, output: Output): Ending {
    const inner = new Scope(scope);
    for (const [target, value] of statement.assignments)
      this.#assign(target, this.#evaluator.evaluate(value, scope), inner);
    return this.#run(statement.body, inner, output);
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === "name") return scope.set(target.name, value);
    if (target.kind === "attribute") {
      const object = scope.get(target.object);
      if (object instanceof PyObject && object.typeName === "Namespace")
        return void object.attributes.set(target.name, value);
      throw new JinjaError("cannot assign attribute on non-namespace object");
    }
    const values = iterate(value);
    Scope.checkUnpack(target.items.length, values.length);
    target.items.forEach((part, i) => this.#assign(part, values[i] as Value, scope));
  }

  #runFor(statement: Extract<Statement, { kind: "for" }>, scope: Scope, output: Output): Ending {
    return this.#loop(statement, this.#evaluator.evaluate(statement.iterable, scope), scope, output, 0);
  }

  #loop(
    statement: Extract<Statement, { kind: "for" }>,
    iterable: Value,
    scope: Scope,
    output: Output,
    depth: number,
  ): Ending {
    const items = iterate(iterable).filter((value) => this.#passes(statement, value, scope));
    this.#budget.step(items.length);
    const { target } = statement;
    const recurse = (next: Value): string => {
      const inner: Output = { text: "" };
      this.#budget.nested(() => this.#loop(statement, next, scope, inner, depth + 1));
      return inner.text;
    };
    const run: LoopRun = { items, depth, recurse: statement.isRecursive ? recurse : undefined, last: undefined };
    for (let i = 0; i < items.length; i++) {
      this.#budget.step(LOOP_STEPS);
      const inner = new Scope(scope);
      inner.set("loop", makeLoop(run, i));
      this.#assign(target, items[i] as Value, inner);
      if (this.#run(statement.body, inner, output) === "break") break;
    }
    return items.length === 0 ? this.#run(statement.otherwise, new Scope(scope), output) : "normal";
  }

  #passes(statement: Extract<Statement, { kind: "for" }>, value: Value, scope: Scope): boolean {
    if (statement.test === undefined) return true;
    const inner = new Scope(scope);
    this.#assign(statement.target, value, inner);
    return isTrue(this.#evaluator.evaluate(statement.test, inner));
  }

  #makeMacro(
    macro: { name: string; parameters: readonly Parameter[]; body: readonly Statement[] },
    scope: Scope,
  ): PyObject {
    const call = (args: Arguments): Value =>
      this.#budget.nested(() => this.#capture(macro.body, this.#bindMacro(macro.parameters, args, scope)));
    return new PyObject("Macro", {
      call,
      attributes: new Map([["name", macro.name]]),
      printed: `<Macro '${macro.name}'>`,
    });
  }

  #bindMacro(parameters: readonly Parameter[], args: Arguments, outer: Scope): Scope {
    const scope = new Scope(outer);
    const keyword = new Map(args.keyword);
    parameters.forEach((parameter, i) => {
      const given = args.positional[i] ?? (i < args.positional.length ? null : keyword.get(parameter.name));
      keyword.delete(parameter.name);
      const initial = parameter.initial;
      const missing = new Undefined(`parameter '${parameter.name}' was not provided`);
      const fallback = (): Value => (initial === undefined ? missing : this.#evaluator.evaluate(initial, scope));
      scope.set(parameter.name, given === undefined ? fallback() : given); // None is a value
    });
    const caller = keyword.get("caller");
    if (caller !== undefined) scope.set("caller", caller);
    keyword.delete("caller");
    scope.set("kwargs", new Map<Value, Value>(keyword));
    scope.set("varargs", new Tuple(args.positional.slice(parameters.length)));
    return scope;
  }
}
