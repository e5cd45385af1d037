/**
 * Graders: how good an answer is, as a number. The objects are those of OpenAI's reinforcement fine-tuning
 * (string_check, text_similarity, multi), and two of our own: `number` and `json_schema`. A grader is a pure function
 * of the answer and the line of its prompt. Knows nothing of models.
 */
import { z } from "zod";
import { AppError, describeIssue, quote } from "../errors.ts";
import { extractNumber, isSameNumber, numberLabel } from "../eval/answers.ts";
import { compileFormula } from "./formula.ts";
import { compileSchema } from "./json-schema.ts";
import { type GradedAnswer, type Template, compileTemplate, parsed } from "./template.ts";
import { SIMILARITY_METRICS, similarity } from "./text-similarity.ts";

/** @throws {AppError} data_invalid: the line lacks a field that the grader reads. training_failed: no finite number. */
export type Grader = (answer: GradedAnswer) => number;

const text = z.string().max(100_000);
const name = z.string().min(1).max(256);
const checked = { name, input: text, reference: text };

const SCHEMAS = {
  string_check: z.strictObject({
    type: z.literal("string_check"),
    ...checked,
    operation: z.enum(["eq", "ne", "like", "ilike"]),
  }),
  text_similarity: z.strictObject({
    type: z.literal("text_similarity"),
    ...checked,
    evaluation_metric: z.enum(SIMILARITY_METRICS),
  }),
  number: z.strictObject({ type: z.literal("number"), ...checked, tolerance: z.number().min(0).optional() }),
  json_schema: z.strictObject({
    type: z.literal("json_schema"),
    name,
    input: text.default("{{ sample.output_text }}"),
    schema: z.union([z.record(z.string(), z.unknown()), z.boolean()]),
  }),
  multi: z.strictObject({
    type: z.literal("multi"),
    name,
    graders: z.record(z.string().regex(/^[A-Za-z_]\w*$/, "expected letters, digits and _"), z.unknown()),
    calculate_output: z.string().max(10_000),
  }),
};
type GraderType = keyof typeof SCHEMAS;
type GraderOf<T extends GraderType> = z.output<(typeof SCHEMAS)[T]>;

/** Graders of OpenAI's that need something that is not here. */
const MISSING: Readonly<Record<string, string>> = {
  python: "It runs a program. Only `mosara train --grader-program` runs one, from the command line.",
  score_model: "It asks a model. Use string_check, text_similarity, number, json_schema or multi.",
  label_model: "It asks a model. Use string_check, text_similarity, number, json_schema or multi.",
};

/** @param path of the grader in its document, for messages @throws {AppError} invalid_request, unsupported_parameter */
export function compileGrader(value: unknown, path = "grader"): Grader {
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined;
  if (typeof type === "string" && Object.hasOwn(MISSING, type))
    throw new AppError("unsupported_parameter", `"${path}.type" is "${type}". ${MISSING[type] ?? ""}`, { param: path });
  switch (type) {
    case "string_check":
      return stringCheck(read(type, value, path), path);
    case "text_similarity":
      return textSimilarity(read(type, value, path), path);
    case "number":
      return numberCheck(read(type, value, path), path);
    case "json_schema":
      return schemaCheck(read(type, value, path), path);
    case "multi":
      return multi(read(type, value, path), path);
    default:
      throw new AppError(
        "invalid_request",
        `"${path}.type" should be one of ${Object.keys(SCHEMAS).join(", ")}, found ${type === undefined ? "nothing" : quote(type)}.`,
        { param: path },
      );
  }
}

function read<T extends GraderType>(type: T, value: unknown, path: string): GraderOf<T> {
  const result = SCHEMAS[type].safeParse(value);
  if (result.success) return result.data as GraderOf<T>;
  const { path: field, what } = describeIssue(result.error.issues[0]);
  const place = field === "" ? path : `${path}.${field}`;
  const advice = place.endsWith("evaluation_metric") ? " meteor and cosine are not computed here." : "";
  throw new AppError("invalid_request", `"${place}": ${what}.${advice}`, { param: path });
}

/** Grades two filled templates; an answer that lacks a value gets 0. */
function comparing(
  { input, reference }: { readonly input: string; readonly reference: string },
  path: string,
  compare: (input: string, reference: string) => number,
): Grader {
  const templates: readonly [Template, Template] = [
    compileTemplate(input, `${path}.input`),
    compileTemplate(reference, `${path}.reference`),
  ];
  return (answer) => {
    const [left, right] = [templates[0](answer), templates[1](answer)];
    return left === null || right === null ? 0 : compare(left, right);
  };
}

function stringCheck(grader: GraderOf<"string_check">, path: string): Grader {
  return comparing(grader, path, (input, reference) => {
    switch (grader.operation) {
      case "eq":
        return Number(input === reference);
      case "ne":
        return Number(input !== reference);
      case "like":
        return Number(input.includes(reference));
      case "ilike":
        return Number(input.toLowerCase().includes(reference.toLowerCase()));
    }
  });
}

function textSimilarity(grader: GraderOf<"text_similarity">, path: string): Grader {
  return comparing(grader, path, (input, reference) => similarity(grader.evaluation_metric, input, reference));
}

/** 1 where the last number of the input is the reference, or no farther from it than the tolerance. */
function numberCheck(grader: GraderOf<"number">, path: string): Grader {
  return comparing(grader, path, (input, reference) => {
    const wanted = numberLabel(reference);
    if (wanted === null) throw new AppError("data_invalid", `the grader expects a number, found ${quote(reference)}.`);
    return Number(isSameNumber(extractNumber(input), wanted, grader.tolerance));
  });
}

/**
 * 1 where the input is JSON that the schema accepts. The schema is compiled at the first answer, where training runs.
 */
function schemaCheck({ input, schema }: GraderOf<"json_schema">, path: string): Grader {
  const template = compileTemplate(input, `${path}.input`);
  let accepts: ((value: unknown) => boolean) | null = null;
  return (answer) => {
    accepts ??= compileSchema(schema, path);
    const filled = template(answer);
    const value = filled === null ? undefined : parsed(filled);
    return value === undefined ? 0 : Number(accepts(value));
  };
}

function multi({ graders, calculate_output: formula }: GraderOf<"multi">, path: string): Grader {
  const compiled = Object.entries(graders).map(([key, one]) => {
    if (typeof one === "object" && one !== null && "type" in one && one.type === "multi")
      throw new AppError("invalid_request", `"${path}.graders.${key}" is a multi grader in a multi grader.`, {
        param: path,
      });
    return [key, compileGrader(one, `${path}.graders.${key}`)] as const;
  });
  if (compiled.length === 0)
    throw new AppError("invalid_request", `"${path}.graders" is empty. Name at least one grader.`, { param: path });
  const output = compileFormula(formula, Object.keys(graders), `${path}.calculate_output`);
  return (answer) => output(Object.fromEntries(compiled.map(([key, grade]) => [key, grade(answer)])));
}
