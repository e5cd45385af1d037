/**
 * Reads a structural tag: text, tags with bound content, and free text up to a trigger, after which a tag is bound.
 * Source: the formats of XGrammar's structural tags, which vLLM accepts too, and vLLM's older form with `structures`
 * and `triggers`.
 */
import { quote } from "../errors.ts";
import {
  choice,
  EMPTY,
  type Ending,
  type Expression,
  type Grammar,
  optional,
  repeat,
  rule,
  sequence,
} from "./expression.ts";
import { MAX_DEPTH, refuseGrammar } from "./grammar-error.ts";
import type { Json, Spacing } from "./json-schema/json-text.ts";
import { SchemaReader } from "./json-schema/schema-reader.ts";
import { readGbnf } from "./text/gbnf.ts";
import { readRegex } from "./text/regex.ts";

type Format = Readonly<Record<string, Json | undefined>>;

/** @param tag parsed JSON @throws {AppError} invalid_request with the place of the fault */
export function readStructuralTag(tag: unknown, spacing: Spacing): Grammar {
  return new TagReader(spacing).read(tag);
}

class TagReader {
  readonly #spacing: Spacing;
  readonly #rules = new Map<string, Expression>();
  #numGrammars = 0;

  constructor(spacing: Spacing) {
    this.#spacing = spacing;
  }

  read(tag: unknown): Grammar {
    const whole = this.#object(tag, "structural tag");
    const root = this.#format(
      whole.structures === undefined ? (whole.format ?? (whole as Json)) : fromStructures(whole),
      "format",
      0,
    );
    return { root, rules: this.#rules };
  }

  #format(value: Json | undefined, path: string, depth: number): Expression {
    if (depth > MAX_DEPTH) refuseGrammar("The structural tag is nested too deeply.");
    const format = this.#object(value, path);
    const inner = (name: string): Expression => this.#format(format[name], `${path}.${name}`, depth + 1);
    const list = (name: string): Expression[] =>
      this.#list(format[name], `${path}.${name}`).map((one, i) => this.#format(one, `${path}.${name}.${i}`, depth + 1));
    switch (format.type) {
      case "const_string":
        return this.#mark(format.value, `${path}.value`);
      case "json_schema":
        return this.#schema(format.json_schema, `${path}.json_schema`);
      case "any_text":
        return freeText([]);
      case "regex":
        return readRegex(this.#string(format.pattern, `${path}.pattern`), { isSearch: false });
      case "grammar":
        return this.#import(readGbnf(this.#string(format.grammar, `${path}.grammar`)));
      case "sequence":
        return sequence(...list("elements"));
      case "or":
        return choice(list("elements"));
      case "optional":
        return optional(inner("content"));
      case "plus":
        return repeat(inner("content"), 1, Infinity);
      case "star":
        return repeat(inner("content"), 0, Infinity);
      case "tag":
        return sequence(this.#mark(format.begin, `${path}.begin`), this.#restOfTag(format, path, depth));
      case "triggered_tags":
        return this.#triggered(format, path, depth);
      case "tags_with_separator":
        return this.#separated(format, path, depth);
      default:
        return refuseGrammar(
          `The structural tag's "${path}.type" is ${quote(format.type)}. Known: const_string, json_schema, any_text, regex, grammar, sequence, or, optional, plus, star, tag, triggered_tags, tags_with_separator.`,
        );
    }
  }

  /** Content and end of a tag. Free content ends at the end string. */
  #restOfTag(tag: Format, path: string, depth: number): Expression {
    const ends = Array.isArray(tag.end) ? (tag.end as readonly Json[]) : [tag.end];
    const marks = ends.map((end) => this.#string(end, `${path}.end`));
    const content = this.#object(tag.content, `${path}.content`);
    if (content.type === "any_text" && !marks.includes("")) return freeText(marks);
    const end = choice(marks.map((text): Expression => ({ kind: "marks", text })));
    return sequence(this.#format(content as Json, `${path}.content`, depth + 1), end);
  }

  #triggered(format: Format, path: string, depth: number): Expression {
    const tags = this.#list(format.tags, `${path}.tags`).map((tag, i) => this.#object(tag, `${path}.tags.${i}`));
    const triggers = this.#list(format.triggers, `${path}.triggers`).map((one) =>
      this.#string(one, `${path}.triggers`),
    );
    const orphan = tags.find(
      (tag) => !triggers.some((trigger) => trigger !== "" && this.#begin(tag, path).startsWith(trigger)),
    );
    if (orphan !== undefined)
      refuseGrammar(`No trigger in "${path}.triggers" is the beginning of the tag ${quote(orphan.begin)}.`);
    const again = rule(`tags-${this.#numGrammars++}`);
    const endings = triggers.map((mark): Ending => {
      const own = tags.filter((tag) => this.#begin(tag, path).startsWith(mark));
      if (own.length === 0)
        refuseGrammar(`The trigger ${quote(mark)} in "${path}.triggers" is not the beginning of any tag.`);
      const rests = own.map((tag) => {
        const begin: Expression = { kind: "marks", text: this.#begin(tag, path).slice(mark.length) };
        return sequence(begin, this.#restOfTag(tag, `${path}.tags`, depth + 1));
      });
      return { mark, follows: sequence(choice(rests), format.stop_after_first === true ? EMPTY : again) };
    });
    const dispatch: Expression = { kind: "free-text", endings, mayEnd: true };
    if (again.kind === "rule") this.#rules.set(again.name, dispatch);
    return format.at_least_one === true ? { ...dispatch, mayEnd: false } : again;
  }

  #separated(format: Format, path: string, depth: number): Expression {
    const tags = this.#list(format.tags, `${path}.tags`).map((one, i) => {
      const tag = this.#object(one, `${path}.tags.${i}`);
      const begin: Expression = { kind: "marks", text: this.#begin(tag, path) };
      return sequence(begin, this.#restOfTag(tag, `${path}.tags.${i}`, depth + 1));
    });
    const separator = this.#mark(format.separator, `${path}.separator`);
    const name = `tags-${this.#numGrammars++}`;
    this.#rules.set(name, choice(tags));
    const more = format.stop_after_first === true ? EMPTY : repeat(sequence(separator, rule(name)), 0, Infinity);
    const some = sequence(rule(name), more);
    return format.at_least_one === true ? some : optional(some);
  }

  #begin(tag: Format, path: string): string {
    return this.#string(tag.begin, `${path}.tags.begin`);
  }

  #schema(schema: Json | undefined, path: string): Expression {
    if (schema === undefined) refuseGrammar(`The structural tag needs a schema at "${path}".`);
    return this.#import(new SchemaReader(schema, this.#spacing).read());
  }

  /** Adds a grammar's rules under new names. */
  #import({ root, rules }: Grammar): Expression {
    const prefix = `grammar-${this.#numGrammars++} `;
    const renamed = new Map<Expression, Expression>();
    for (const [name, expression] of rules) this.#rules.set(prefix + name, withPrefix(expression, prefix, renamed));
    return withPrefix(root, prefix, renamed);
  }

  #mark(value: Json | undefined, path: string): Expression {
    return { kind: "marks", text: this.#string(value, path) };
  }

  #string(value: Json | undefined, path: string): string {
    return typeof value === "string" ? value : refuseGrammar(`The structural tag's "${path}" must be a string.`);
  }

  #list(value: Json | undefined, path: string): readonly Json[] {
    if (Array.isArray(value) && value.length > 0) return value as readonly Json[];
    return refuseGrammar(`The structural tag's "${path}" must be a list that is not empty.`);
  }

  #object(value: unknown, path: string): Format {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Format;
    return refuseGrammar(`The structural tag's "${path}" must be an object.`);
  }
}

/** Free text up to one of the marks, or to the end where there is none. */
function freeText(marks: readonly string[]): Expression {
  return { kind: "free-text", endings: marks.map((mark) => ({ mark, follows: EMPTY })), mayEnd: marks.length === 0 };
}

/** vLLM's older form as triggered tags. */
function fromStructures(whole: Format): Json {
  const { structures, triggers } = whole;
  if (!Array.isArray(structures)) return refuseGrammar('The structural tag\'s "structures" must be a list.');
  const tags = (structures as readonly Json[]).map((structure): Json => {
    if (typeof structure !== "object" || structure === null || Array.isArray(structure)) return structure;
    const { begin, schema, end } = structure as Format;
    return { begin: begin ?? null, end: end ?? null, content: { type: "json_schema", json_schema: schema ?? {} } };
  });
  return { type: "triggered_tags", triggers: triggers ?? null, tags };
}

function withPrefix(expression: Expression, prefix: string, renamed: Map<Expression, Expression>): Expression {
  const known = renamed.get(expression);
  if (known !== undefined) return known;
  const inner = (one: Expression): Expression => withPrefix(one, prefix, renamed);
  const made = ((): Expression => {
    switch (expression.kind) {
      case "rule":
        return rule(prefix + expression.name);
      case "sequence":
        return { kind: "sequence", items: expression.items.map(inner) };
      case "choice":
        return { kind: "choice", options: expression.options.map(inner) };
      case "repeat":
        return { ...expression, item: inner(expression.item) };
      default:
        return expression;
    }
  })();
  renamed.set(expression, made);
  return made;
}
