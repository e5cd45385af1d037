/**
 * Renders a chat template to find how it treats tools: whether it shows them, and in which format it writes a call.
 * Marks are not enough to decide. Several formats share `<tool_call>`, and only some of them write JSON inside.
 */
import { AppError } from "../../../errors.ts";
import type { ChatMessage } from "../../../tokenizer/chat/chat-message.ts";
import { type ChatTemplate, makeChatTemplate } from "../../../tokenizer/chat/chat-template.ts";
import { AnswerSplitter } from "./answer-splitter.ts";
import { CALL_FORMATS, type CallFormat, findCallFormat } from "./call-format.ts";

export interface ToolAbilities {
  /** Whether tools change the prompt. */
  readonly takesTools: boolean;
  /** The format of its calls; null: no known format. */
  readonly calls: CallFormat | null;
}

const NAME = "probe_of_tools";
const ARGUMENTS = { place: 'a "b"\n{1}', days: 2 };
const PROPERTIES = {
  place: { type: "string", description: "A place." },
  days: { type: "integer", description: "A number." },
};
const PARAMETERS = { type: "object", properties: PROPERTIES, required: ["place"] };
const TOOL = {
  type: "function",
  function: { name: NAME, description: "A probe.", parameters: PARAMETERS, return: { type: "string" } },
};
const QUESTION: ChatMessage = { role: "user", content: "?" };
/** Mistral's templates refuse an id that does not have exactly nine letters and digits. */
const CALL = { id: "Abc123xyZ", type: "function", function: { name: NAME, arguments: ARGUMENTS } };
const ANSWER: ChatMessage = { role: "assistant", content: "", tool_calls: [CALL] };

/** @param source the template that is used for tools */
export function probeTemplate(source: string): ToolAbilities {
  const guess = findCallFormat(source);
  const template = makeChatTemplate(new Map([["default", source]]), { bos_token: "<s>", eos_token: "</s>" });
  const prompt = rendered(template, [QUESTION], { addGenerationPrompt: true });
  if (prompt === null) return { takesTools: /\b(xml_)?tools\b/.test(source), calls: guess };
  const call = writtenCall(template, prompt);
  // A template that does not write past calls may still describe their format in words.
  const calls = call === null ? guess : (likelyFirst(guess).find((format) => isReadBack(call, format)) ?? null);
  return { takesTools: prompt !== rendered(template, [QUESTION], { tools: [], addGenerationPrompt: true }), calls };
}

/** null: the template refuses the conversation. */
function rendered(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  { tools = [TOOL], addGenerationPrompt }: { tools?: readonly unknown[]; addGenerationPrompt: boolean },
): string | null {
  try {
    return template.render(messages, { tools, addGenerationPrompt });
  } catch (error) {
    if (error instanceof AppError) return null;
    throw error;
  }
}

/** The text of a turn that calls the tool, as the model would write it; null: the template writes no calls. */
function writtenCall(template: ChatTemplate, prompt: string): string | null {
  const whole = rendered(template, [QUESTION, ANSWER], { addGenerationPrompt: false });
  if (whole === null) return null;
  // Some templates open the reasoning in the prompt, and leave it out of a past turn.
  const start = whole.startsWith(prompt)
    ? prompt
    : (rendered(template, [QUESTION], { addGenerationPrompt: false }) ?? "");
  const turn = whole.startsWith(start) ? whole.slice(start.length) : whole;
  return turn.includes(NAME) ? turn : null;
}

const likelyFirst = (guess: CallFormat | null): readonly CallFormat[] =>
  guess === null ? CALL_FORMATS : [guess, ...CALL_FORMATS];

function isReadBack(turn: string, calls: CallFormat): boolean {
  const options = { calls, toolNames: new Set([NAME]), isParallel: true, reasoning: null, start: "none" } as const;
  const splitter = new AnswerSplitter(options);
  let text = "";
  for (const part of [...splitter.push(turn), ...splitter.end()]) if (part.type === "tool-arguments") text += part.text;
  try {
    const { place, days } = JSON.parse(text) as Partial<typeof ARGUMENTS>;
    return place === ARGUMENTS.place && days === ARGUMENTS.days;
  } catch {
    return false; // no call was read, or one with other text than JSON
  }
}
