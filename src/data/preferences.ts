/**
 * Reads preferences from JSON lines: a prompt with two answers, of which one is preferred. The forms are those of TRL
 * (`prompt`, `chosen`, `rejected`, texts or messages) and OpenAI (`input`, `preferred_output`, `non_preferred_output`).
 * Knows no tokens.
 */
import { AppError } from "../errors.ts";
import { type Fail, type Json, nameOf, readConversationalPair } from "./conversation.ts";
import { type Example, type ExamplePlace, NOT_BESIDE_TEXT } from "./examples.ts";
import { plainObject, readExactly, readJsonLine } from "./json-line.ts";
import { refuseUnknownMeaning } from "./line-keys.ts";
import { lineError, readLines } from "./lines.ts";

/** Two examples that differ only in their answers. */
export interface Preference extends ExamplePlace {
  readonly chosen: Example;
  readonly rejected: Example;
}

/** Preferences, and the refusals of the lines that are none. */
export interface ValidPreferences {
  readonly preferences: readonly Preference[];
  readonly refusals: readonly AppError[];
}

/** All preferences of the files. @throws {AppError} usage, data_invalid naming file, line and reason */
export async function readPreferences(files: readonly string[]): Promise<readonly Preference[]> {
  const { preferences, refusals } = await readValidPreferences(files);
  if (refusals[0]) throw refusals[0];
  if (preferences.length === 0)
    throw lineError(files[0] ?? "", 1, `the file is empty. Write one JSON object a line, such as ${FORM}.`);
  return preferences;
}

/** All preferences of the files. A bad line is returned as its error. @throws {AppError} usage */
export async function readValidPreferences(files: readonly string[]): Promise<ValidPreferences> {
  const preferences: Preference[] = [];
  const refusals: AppError[] = [];
  for (const file of files)
    for await (const { line, text } of readLines(file))
      try {
        if (text.trim() !== "") preferences.push(parsePreference(text, file, line));
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== "data_invalid") throw error;
        refusals.push(error);
      }
  return { preferences, refusals };
}

const FORM = '{"prompt": …, "chosen": …, "rejected": …}';
/** Keys that only preferences have. */
const OWN_KEYS = ["chosen", "rejected", "input", "preferred_output", "non_preferred_output"];
/** Keys of other forms of lines, which would be ignored here. */
const OTHER_FORMS = ["completion", "conversations", "instruction", "output", "history", "references", "answer"];

/** Keys of TRL's form, which would be ignored beside OpenAI's `input`. */
const NOT_BESIDE_INPUT = ["prompt", "messages", "chosen", "rejected", "system", "tools", "chat_template_kwargs"];
/** Keys of `input` that are read. `parallel_tool_calls` is a setting of requests. */
const INPUT_KEYS = ["messages", "tools", "parallel_tool_calls"];

function refuseBeside(json: Json, keys: readonly string[], form: string, fail: Fail): void {
  const lost = keys.find((key) => (json[key] ?? null) !== null);
  if (lost !== undefined)
    fail(
      `there is "${lost}" beside "${form}", which belongs to another form of preferences. Keep the keys of one form.`,
    );
}

/** The preference on one line. @throws {AppError} data_invalid naming file, line and reason */
function parsePreference(text: string, file: string, line: number): Preference {
  const fail = (reason: string, cause?: unknown): never => {
    throw lineError(file, line, reason, cause);
  };
  const json = readJsonLine(text, fail);
  refuseUnknownMeaning(json, "", fail, OWN_KEYS);
  const lost = OTHER_FORMS.find((key) => (json[key] ?? null) !== null);
  if (lost !== undefined) return fail(`"${lost}" does not belong to a preference. Write ${FORM}.`);
  const place = { file, line };
  if ((json.input ?? null) !== null) {
    refuseBeside(json, NOT_BESIDE_INPUT, "input", fail);
    return openAiPreference(readExactly(text), place, fail);
  }
  for (const key of ["chosen", "rejected", "prompt"] as const)
    if ((json[key] ?? null) === null && (key !== "prompt" || (json.messages ?? null) === null))
      return fail(`"${key}" is missing; the line has ${nameOf(Object.keys(json))}. Write ${FORM}.`);
  refuseBeside(json, ["preferred_output", "non_preferred_output"], "chosen", fail);
  if ((json.prompt ?? null) !== null && (json.messages ?? null) !== null)
    return fail('there is both "prompt" and "messages". Keep one of them.');
  if (typeof json.prompt === "string") return textPreference(json, json.prompt, place, fail);
  const exact = readExactly(text);
  const promptKey = (json.messages ?? null) === null ? "prompt" : "messages";
  const keys = { prompt: promptKey, chosen: "chosen", rejected: "rejected" };
  return chatPreference({ prompt: exact[promptKey], chosen: exact.chosen, rejected: exact.rejected }, exact, {
    keys,
    place,
    fail,
  });
}

/** Nothing of an evaluation belongs to a preference. */
const NO_EXPECTED = { references: null, answer: null, answerKind: null } as const;

function textPreference(json: Json, prompt: string, place: ExamplePlace, fail: Fail): Preference {
  const answerOf = (key: "chosen" | "rejected"): Example => {
    const completion = json[key];
    if (typeof completion !== "string")
      return fail(
        `"prompt" is text and "${key}" is not, found ${nameOf(completion)}. Write both as texts, or both as lists of messages.`,
      );
    return { form: "prompt", prompt, completion, ...NO_EXPECTED, ...place };
  };
  const lost = NOT_BESIDE_TEXT.find((key) => (json[key] ?? null) !== null);
  if (lost !== undefined)
    return fail(`"${lost}" is for conversations, but "prompt" is text. Write "messages", or leave it out.`);
  return { chosen: answerOf("chosen"), rejected: answerOf("rejected"), ...place };
}

function openAiPreference(exact: Json, place: ExamplePlace, fail: Fail): Preference {
  const input = plainObject(exact.input) as Json;
  if (typeof input !== "object" || Array.isArray(input)) return fail('"input" should be an object with "messages".');
  const unknown = Object.keys(input).find((key) => !INPUT_KEYS.includes(key) && (input[key] ?? null) !== null);
  if (unknown !== undefined)
    return fail(`"input.${unknown}" is not known. "input" has ${INPUT_KEYS.map((key) => `"${key}"`).join(", ")}.`);
  const parts = { prompt: input.messages, chosen: exact.preferred_output, rejected: exact.non_preferred_output };
  const keys = { prompt: "input.messages", chosen: "preferred_output", rejected: "non_preferred_output" };
  return chatPreference(parts, { tools: input.tools }, { keys, place, fail });
}

interface Parts<T> {
  readonly prompt: T;
  readonly chosen: T;
  readonly rejected: T;
}

interface ReadContext {
  /** Names of the parts in messages. */
  readonly keys: Parts<string>;
  readonly place: ExamplePlace;
  readonly fail: Fail;
}

/** An answer is a list of messages, or the text of one message of the assistant. */
function chatPreference(parts: Parts<unknown>, extras: Json, { keys, place, fail }: ReadContext): Preference {
  const answerOf = (part: "chosen" | "rejected"): Example => {
    const answer = parts[part];
    const messages = typeof answer === "string" ? [{ role: "assistant", content: answer }] : answer;
    const names = { prompt: keys.prompt, completion: keys[part] };
    const conversation = readConversationalPair(parts.prompt, messages, extras, fail, names);
    return { form: "messages", ...conversation, hasCompletion: true, ...NO_EXPECTED, ...place };
  };
  return { chosen: answerOf("chosen"), rejected: answerOf("rejected"), ...place };
}
