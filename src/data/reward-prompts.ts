/**
 * Reads the prompts of a training with rewards from JSON lines: `prompt` (text or messages) or `messages`, which end
 * before the answer. All keys of the line are for the grader. Knows no tokens and no graders.
 */
import { type Fail, type Json, nameOf, readConversationalPair } from "./conversation.ts";
import type { Example, ExamplePlace } from "./examples.ts";
import { readExactly, readJsonLine } from "./json-line.ts";
import { lineError, readLines } from "./lines.ts";

export interface RewardPrompt extends ExamplePlace {
  /** The prompt as an example. A conversation ends with an empty answer, or with the known right one. */
  readonly example: Example;
  /** The line. */
  readonly item: Json;
}

const FORM = '{"messages": [{"role": "user", "content": …}], …}';
/** Keys under which a line may have the right answer, which reports show. */
const ANSWER_KEYS = ["reference_answer", "answer"];

/** All prompts of the files. @throws {AppError} usage, data_invalid naming file, line and reason */
export async function readRewardPrompts(files: readonly string[]): Promise<readonly RewardPrompt[]> {
  const prompts: RewardPrompt[] = [];
  for (const file of files)
    for await (const { line, text } of readLines(file))
      if (text.trim() !== "") prompts.push(parsePrompt(text, { file, line }));
  if (prompts.length > 0) return prompts;
  throw lineError(files[0] ?? "", 1, `the file is empty. Write one JSON object a line, such as ${FORM}.`);
}

function parsePrompt(text: string, place: ExamplePlace): RewardPrompt {
  const fail: Fail = (reason, cause) => {
    throw lineError(place.file, place.line, reason, cause);
  };
  const item = readJsonLine(text, fail);
  const keys = (["prompt", "messages"] as const).filter((key) => (item[key] ?? null) !== null);
  const [key] = keys;
  if (key === undefined || keys.length > 1)
    return fail(`one of "prompt" and "messages" was expected, found ${nameOf(Object.keys(item))}. Write ${FORM}.`);
  const known = ANSWER_KEYS.map((one) => textOf(item[one])).find((value) => value !== null) ?? null;
  const expected = { references: null, answer: known, answerKind: null };
  if (key === "prompt" && typeof item.prompt === "string")
    return {
      example: { form: "prompt", prompt: item.prompt, completion: null, ...expected, ...place },
      item,
      ...place,
    };
  const exact = readExactly(text);
  const messages = item[key];
  if (Array.isArray(messages) && (messages.at(-1) as Json | null)?.role === "assistant")
    return fail(`"${key}" ends with an answer, but the model is to give it. End with the message of the user.`);
  const completion = [{ role: "assistant", content: known ?? "" }];
  const names = { prompt: key, completion: "answer" };
  const conversation = readConversationalPair(exact[key], completion, exact, fail, names);
  return {
    example: { form: "messages", ...conversation, hasCompletion: false, ...expected, ...place },
    item,
    ...place,
  };
}

/** null: neither a text nor a number. */
function textOf(value: unknown): string | null {
  return typeof value === "string" || typeof value === "number" ? String(value) : null;
}
