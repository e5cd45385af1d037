/** Refuses rules that reach themselves before they have read anything, because they could call themselves for ever. */
import { quote } from "../../errors.ts";
import type { Expression, Grammar } from "../expression.ts";
import { refuseGrammar } from "../grammar-error.ts";

/** @throws {AppError} invalid_request */
export function assertNoLeftRecursion({ root, rules }: Grammar): void {
  const nullable = nullableRules(rules);
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): void => {
    if (path.includes(name))
      refuseGrammar(
        `The rule ${quote(name)} begins with itself (${[...path.slice(path.indexOf(name)), name].join(" → ")}). Put something before the recursion.`,
      );
    if (done.has(name) || !rules.has(name)) return;
    if (path.length > 1000) refuseGrammar("The grammar's rules are nested too deeply.");
    for (const next of firstRules(rules.get(name)!, nullable)) visit(next, [...path, name]);
    done.add(name);
  };
  for (const next of firstRules(root, nullable)) visit(next, []);
  for (const name of rules.keys()) visit(name, []);
}

/** Rules that match the empty text. */
function nullableRules(rules: ReadonlyMap<string, Expression>): ReadonlySet<string> {
  const found = new Set<string>();
  for (let before = -1; before < found.size;) {
    before = found.size;
    for (const [name, expression] of rules) if (!found.has(name) && isNullable(expression, found)) found.add(name);
  }
  return found;
}

function isNullable(expression: Expression, rules: ReadonlySet<string>): boolean {
  switch (expression.kind) {
    case "text":
    case "marks":
      return expression.text === "";
    case "characters":
      return false;
    case "sequence":
      return expression.items.every((item) => isNullable(item, rules));
    case "choice":
      return expression.options.some((option) => isNullable(option, rules));
    case "repeat":
      return expression.min === 0 || isNullable(expression.item, rules);
    case "rule":
      return rules.has(expression.name);
    case "free-text":
      return expression.mayEnd;
  }
}

/** Rules that an expression may call before it has read anything. */
function firstRules(expression: Expression, nullable: ReadonlySet<string>): readonly string[] {
  switch (expression.kind) {
    case "rule":
      return [expression.name];
    case "choice":
      return expression.options.flatMap((option) => firstRules(option, nullable));
    case "repeat":
      return firstRules(expression.item, nullable);
    case "sequence": {
      const end = expression.items.findIndex((item) => !isNullable(item, nullable));
      const reached = end < 0 ? expression.items : expression.items.slice(0, end + 1);
      return reached.flatMap((item) => firstRules(item, nullable));
    }
    default:
      return [];
  }
}
