/**
 * Training and evaluation examples from JSON lines: prompt and completion, conversations, prompts with references or an answer.
 * Every line is checked before anything is done with one of them. Knows no tokens. Source: interface.md §1.
 */
import type { ChatMessage } from "../tokenizer/chat-message.ts";
import { lineError, readLines } from "./lines.ts";

/** How an answer is found in generated text and compared: a number, or one of a few words (eval/answers.ts). */
export const ANSWER_KINDS = ["number", "letter", "true-false", "solution", "answer", "ending", "option"] as const;
export type AnswerKind = (typeof ANSWER_KINDS)[number];

/** Where an example stands; `line` counts from 1. */
export interface ExamplePlace {
  readonly file: string;
  readonly line: number;
}

/** A prompt with what should follow it: at least one of completion, references and answer is there. */
export interface PromptExample extends ExamplePlace {
  readonly form: "prompt";
  readonly prompt: string;
  readonly completion: string | null;
  readonly references: readonly string[] | null;
  readonly answer: string | null;
  readonly answerKind: AnswerKind | null;
}

/** A conversation with at least one message of the assistant's. */
export interface ChatExample extends ExamplePlace {
  readonly form: "messages";
  readonly messages: readonly ChatMessage[];
}

export type Example = PromptExample | ChatExample;

export interface ReadOptions {
  /** Stops after this many examples, all files together. */
  readonly limit?: number | null;
}

type Json = Readonly<Record<string, unknown>>;

/**
 * The examples of JSON-lines files, in order. Blank lines are passed over.
 * @throws {AppError} usage (no such file), data_invalid naming file, line and reason.
 */
export async function* streamExamples(files: readonly string[]): AsyncGenerator<Example> {
  for (const file of files)
    for await (const { line, text } of readLines(file)) if (text.trim() !== "") yield parseExample(text, file, line);
}

/** All examples of the files in memory. @throws {AppError} also where a file has none. */
export async function readExamples(files: readonly string[], { limit = null }: ReadOptions = {}): Promise<Example[]> {
  const examples: Example[] = [];
  for (const file of files) {
    let found = 0;
    for await (const example of streamExamples([file])) {
      if (limit !== null && examples.length >= limit) return examples;
      examples.push(example);
      found += 1;
    }
    if (found === 0)
      throw lineError(
        file,
        1,
        'the file is empty. Write one JSON object a line, such as {"prompt": …, "completion": …}.',
      );
  }
  return examples;
}

/** The example on one line. @throws {AppError} data_invalid naming file, line and reason. */
export function parseExample(text: string, file: string, line: number): Example {
  const fail = (reason: string, cause?: unknown): never => {
    throw lineError(file, line, reason, cause);
  };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return fail(`the line is no JSON (${(cause as Error).message}). Write one JSON object a line.`, cause);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return fail(`an object was expected, found ${nameOf(value)}. Write {"prompt": …, "completion": …}.`);
  const json = value as Json;
  if (json.messages !== undefined && json.prompt !== undefined)
    return fail('there is both "prompt" and "messages". Keep one of them.');
  return json.messages === undefined
    ? promptExample(json, { file, line }, fail)
    : { form: "messages", messages: checkMessages(json.messages, fail), file, line };
}

type Fail = (reason: string) => never;

function promptExample(json: Json, place: ExamplePlace, fail: Fail): PromptExample {
  const prompt = readText(json, "prompt", fail);
  if (prompt === null) return fail('"prompt" or "messages" is missing.');
  const completion = readText(json, "completion", fail);
  const references = readReferences(json.references, fail);
  const answer = readAnswer(json.answer, fail);
  if (completion === null && references === null && answer === null)
    return fail('"completion" is missing (for evaluation "references" or "answer" will do).');
  const answerKind = answer === null ? null : readKind(json.kind, fail);
  return { form: "prompt", prompt, completion, references, answer, answerKind, ...place };
}

function readText(json: Json, key: string, fail: Fail): string | null {
  const value = json[key] ?? null;
  return value === null || typeof value === "string"
    ? value
    : fail(`"${key}" should be a string, found ${nameOf(value)}.`);
}

function readReferences(value: unknown, fail: Fail): readonly string[] | null {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "string")) return value;
  return fail('"references" should be a list of one string or more.');
}

function readAnswer(value: unknown, fail: Fail): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "string" || typeof value === "number") return String(value);
  return fail(`"answer" should be a string, found ${nameOf(value)}.`);
}

function readKind(value: unknown, fail: Fail): AnswerKind | null {
  if (value === undefined || value === null) return null;
  const kind = ANSWER_KINDS.find((known) => known === value);
  return kind ?? fail(`"kind" should be one of ${ANSWER_KINDS.join(", ")}, found ${nameOf(value)}.`);
}

/** Content is checked again, and more closely, where the chat template takes it. */
function checkMessages(value: unknown, fail: Fail): readonly ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0) return fail('"messages" should be a list of one message or more.');
  value.forEach((message: unknown, i) => {
    const { role, content } = ((typeof message === "object" ? message : null) ?? {}) as Json;
    if (typeof role !== "string") fail(`messages[${i}] should be an object with "role" and "content".`);
    const isContent = typeof content === "string" || Array.isArray(content);
    // A message that calls tools, or whose fields only the template knows, may have no content.
    const isBare =
      (content === undefined || content === null) &&
      Object.keys(message as object).some((key) => key !== "role" && key !== "content");
    if (!isContent && !isBare) fail(`messages[${i}].content should be a string, found ${nameOf(content)}.`);
  });
  const messages = value as readonly ChatMessage[];
  if (!messages.some(({ role }) => role === "assistant"))
    return fail('"messages" has no message of the role "assistant", so there is nothing to learn or to compare with.');
  return messages;
}

/** What is said before the assistant's last turn: the prompt of an evaluation by generation. */
export function beforeLastTurn(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  return messages.slice(
    0,
    messages.findLastIndex(({ role }) => role === "assistant"),
  );
}

/** The text of the assistant's last turn. */
export function lastTurnText({ messages }: ChatExample): string {
  const content = messages.findLast(({ role }) => role === "assistant")?.content ?? "";
  return typeof content === "string" ? content : content.map(({ text = "" }) => text).join("\n");
}

/** A value of JSON for a message, cut short. */
function nameOf(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}
