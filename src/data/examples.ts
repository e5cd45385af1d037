/**
 * Reads training and evaluation examples from JSON lines: prompt and
 * completion, conversations, prompts with references or an answer.
 * Every line is checked before any is used. Knows no tokens.
 */
import { AppError } from "../errors.ts";
import type { ChatMessage } from "../tokenizer/chat/chat-message.ts";
import {
  type Conversation,
  conversationOfPairs,
  type Fail,
  type Json,
  nameOf,
  readConversation,
  readConversationalPair,
} from "./conversation.ts";
import { readExactly, readJsonLine } from "./json-line.ts";
import { refuseUnknownMeaning } from "./line-keys.ts";
import { lineError, readLines } from "./lines.ts";

/** The kind of an answer in generated text: a number, or one of a few words (eval/answers.ts). */
export const ANSWER_KINDS = ["number", "letter", "true-false", "solution", "answer", "ending", "option"] as const;
export type AnswerKind = (typeof ANSWER_KINDS)[number];

/** The place of an example; `line` counts from 1. */
export interface ExamplePlace {
  readonly file: string;
  readonly line: number;
}

/** Texts that an evaluation compares with, where they are not the completion. */
interface Expected {
  readonly references: readonly string[] | null;
  readonly answer: string | null;
  readonly answerKind: AnswerKind | null;
}

/** A prompt with its expected continuation: at least one of completion, references and answer exists. */
export interface PromptExample extends ExamplePlace, Expected {
  readonly form: "prompt";
  readonly prompt: string;
  readonly completion: string | null;
}

/** A conversation with at least one message of the assistant. */
export interface ChatExample extends ExamplePlace, Conversation, Expected {
  readonly form: "messages";
  /** false: the last turn is the first reference, or the answer. The line has no completion. */
  readonly hasCompletion: boolean;
}

export type Example = PromptExample | ChatExample;

export interface ReadOptions {
  /** Stops after this many examples, over all files. */
  readonly limit?: number | null;
}

/**
 * The examples of JSON-lines files, in order. Blank lines are skipped.
 * @throws {AppError} usage (no such file), data_invalid naming file, line and reason.
 */
export async function* streamExamples(files: readonly string[]): AsyncGenerator<Example> {
  for (const file of files)
    for await (const { line, text } of readLines(file)) if (text.trim() !== "") yield parseExample(text, file, line);
}

/** All examples of the files in memory. @throws {AppError} as `readExamples`, and where a file has none. */
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

/** Examples, and the refusals of the lines that are none. */
export interface ValidExamples {
  readonly examples: readonly Example[];
  readonly refusals: readonly AppError[];
}

/** All examples of the files. A bad line is returned as its error. @throws {AppError} usage */
export async function readValidExamples(files: readonly string[]): Promise<ValidExamples> {
  const examples: Example[] = [];
  const refusals: AppError[] = [];
  const attempt = async (read: () => void | Promise<void>): Promise<void> => {
    try {
      await read();
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "data_invalid") throw error;
      refusals.push(error);
    }
  };
  for (const file of files)
    await attempt(async () => {
      for await (const { line, text } of readLines(file))
        if (text.trim() !== "") await attempt(() => void examples.push(parseExample(text, file, line)));
    });
  return { examples, refusals };
}

/** The example on one line, in any of the forms. @throws {AppError} data_invalid naming file, line and reason. */
export function parseExample(text: string, file: string, line: number): Example {
  const fail = (reason: string, cause?: unknown): never => {
    throw lineError(file, line, reason, cause);
  };
  const json = readJsonLine(text, fail);
  const key = formKey(json, fail);
  const isText = key === "prompt" && !Array.isArray(json.prompt);
  refuseUnknownMeaning(json, "", fail);
  if (isText) return promptExample(json, { file, line }, fail);
  refuseOtherForms(json, key, fail);
  const expected = readExpected(json, fail);
  return { form: "messages", ...conversationOf(key, readExactly(text), expected, fail), ...expected, file, line };
}

/** Forms of lines. Each is recognised by its required key. */
const FORM_KEYS = ["prompt", "messages", "conversations", "instruction"] as const;
type FormKey = (typeof FORM_KEYS)[number];

function formKey(json: Json, fail: Fail): FormKey {
  const [key, other] = FORM_KEYS.filter((one) => (json[one] ?? null) !== null);
  if (key !== undefined && other !== undefined) return fail(`there is both "${key}" and "${other}". Keep one of them.`);
  if (key !== undefined) return key;
  if (typeof json.text === "string")
    return fail('"prompt" or "messages" is missing. Running text ("text") is learnt with --method full alone.');
  return fail(
    `"prompt" or "messages" is missing; the line has ${nameOf(Object.keys(json))}. Write {"prompt", "completion"} (two texts, or two lists of messages), {"messages": [{"role", "content"}, …]}, {"conversations": [{"from", "value"}, …]} or {"instruction", "input", "output"}.`,
  );
}

/** Keys of other forms that would be ignored beside a conversation. */
const NOT_BESIDE: Readonly<Record<FormKey, readonly string[]>> = {
  prompt: ["input", "output", "history"],
  messages: ["completion", "input", "output", "history"],
  conversations: ["completion", "input", "output", "history"],
  instruction: ["completion", "response", "context"],
};

function refuseOtherForms(json: Json, key: FormKey, fail: Fail): void {
  const lost = NOT_BESIDE[key].find((one) => (json[one] ?? null) !== null);
  if (lost !== undefined)
    fail(`there is "${lost}" beside "${key}", which has the whole example. Leave it out, or give it another name.`);
}

type Turns = Conversation & Pick<ChatExample, "hasCompletion">;

function conversationOf(key: FormKey, json: Json, { references, answer }: Expected, fail: Fail): Turns {
  const expected = references?.[0] ?? answer;
  const isOpen =
    key === "prompt" ? (json.completion ?? null) === null : key === "messages" && endsWithQuestion(json[key]);
  if (isOpen && expected !== null) {
    const last = [{ role: "assistant", content: expected }];
    return { ...readConversationalPair(json[key], last, json, fail), hasCompletion: false };
  }
  if (key === "instruction")
    return { ...conversationOfPairs(instructionPairs(json, fail), json, fail), hasCompletion: true };
  if (key !== "prompt") return { ...readConversation(key, json[key], json, fail), hasCompletion: true };
  if (isOpen)
    return fail(
      '"completion" is missing; beside a list of messages it has to be one as well (for evaluation "references" or "answer" will do).',
    );
  if (!Array.isArray(json.completion))
    return fail(
      `"prompt" is a list of messages and "completion" is not, found ${nameOf(json.completion)}. Write both as lists, or both as text.`,
    );
  return { ...readConversationalPair(json.prompt, json.completion, json, fail), hasCompletion: true };
}

/** Whether the last message waits for an answer. */
function endsWithQuestion(messages: unknown): boolean {
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : undefined;
  return ((last ?? {}) as Json).role !== "assistant";
}

/** Alpaca's form, joined as LLaMA-Factory documents it. The answers of `history` are learnt too. */
function instructionPairs(json: Json, fail: Fail): readonly (readonly [string, string])[] {
  const instruction = readText(json, "instruction", fail) ?? "";
  const input = readText(json, "input", fail) ?? "";
  const output = readText(json, "output", fail);
  if (output === null) return fail('"output" is missing; {"instruction", "input", "output"} has the answer there.');
  const history = (json.history ?? []) as readonly unknown[];
  const isPair = (pair: unknown): pair is readonly [string, string] =>
    Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === "string");
  if (!Array.isArray(history) || !history.every(isPair))
    return fail('"history" should be a list of pairs, each an instruction and its answer.');
  return [...history, [[instruction, input].filter((part) => part !== "").join("\n"), output]];
}

/** Keys of other forms, which would be ignored beside a prompt that is text. */
export const NOT_BESIDE_TEXT = ["tools", "chat_template_kwargs", "system", "input", "output", "history"];

function promptExample(json: Json, place: ExamplePlace, fail: Fail): PromptExample {
  const prompt = readText(json, "prompt", fail);
  if (prompt === null) return fail('"prompt" or "messages" is missing.');
  if (Array.isArray(json.completion) && json.completion.some((one) => typeof one === "object"))
    return fail('"completion" is a list of messages and "prompt" is not. Write both as lists, or both as text.');
  const completion = readText(json, "completion", fail);
  const { references, answer, answerKind } = readExpected(json, fail);
  if (completion === null && references === null && answer === null)
    return fail('"completion" is missing (for evaluation "references" or "answer" will do).');
  const lost = NOT_BESIDE_TEXT.find((key) => (json[key] ?? null) !== null);
  if (lost !== undefined)
    return fail(
      `"${lost}" is for conversations, but "prompt" is text, which no template renders. Write "messages", or leave it out.`,
    );
  return { form: "prompt", prompt, completion, references, answer, answerKind, ...place };
}

function readText(json: Json, key: string, fail: Fail): string | null {
  const value = json[key] ?? null;
  return value === null || typeof value === "string"
    ? value
    : fail(`"${key}" should be a string, found ${nameOf(value)}.`);
}

function readExpected(json: Json, fail: Fail): Expected {
  const answer = readAnswer(json.answer, fail);
  const references = readReferences(json.references, fail);
  return { references, answer, answerKind: answer === null ? null : readKind(json.kind, fail) };
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

/** Whether any turn is learnt. A conversation whose turns all have the weight 0 has none. */
export function hasLearntTurn(example: Example): boolean {
  return example.form === "prompt" || example.isLearnt.includes(true);
}

/** The same conversation with another text as its last turn. */
export function withLastTurn(example: ChatExample, text: string): ChatExample {
  return { ...example, messages: [...example.messages.slice(0, -1), { role: "assistant", content: text }] };
}

/**
 * The prompt and the answer for an evaluation by generation: the text
 * before the assistant's last learnt turn, and that turn's text.
 * @throws {AppError} data_invalid where no turn is learnt
 */
export function lastLearntTurn({ messages, isLearnt, file, line }: ChatExample): {
  readonly before: readonly ChatMessage[];
  readonly text: string;
} {
  const index = isLearnt.lastIndexOf(true);
  if (index < 0)
    throw lineError(file, line, "every turn of the assistant has the weight 0, so there is nothing to answer.");
  const content = messages[index]?.content ?? "";
  const text = typeof content === "string" ? content : content.map(({ text: part = "" }) => part).join("\n");
  return { before: messages.slice(0, index), text };
}
