/**
 * Trains the adapter that lets the demo call tools in the tests of clients (test/clients/tools). It takes six minutes
 * on two cores beside other work.
 *
 *   node dist/scripts/make-tools-adapter.js [--steps 200] [--work work/tools-adapter]
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeChatTemplate } from "../src/tokenizer/chat/chat-template.ts";
import type { ChatMessage } from "../src/tokenizer/chat/chat-message.ts";
import { Draw, type Split, withoutSeams } from "./corpus/draw.ts";
import { inquiry, requestOf } from "./corpus/support.ts";
import { answerOf, type Inquiry, type Kind } from "./corpus/voices.ts";
import { DAYS } from "./corpus/words.ts";
import { MAIN, runProgram } from "./demo/program.ts";

const FOLDER = join("test", "clients", "tools");
const NUM_TRAINING = 3000;
const NUM_HELD_OUT = 200;

interface Tool {
  readonly name: string;
  /** Its only argument, a string. */
  readonly parameter: "order" | "day";
  /** What it finds, as a part of the sentence `answer` makes. */
  readonly results: readonly string[];
  answer(result: string): string;
}

/** The tools by the kind of request that they are for; all other requests are answered in words. */
const TOOLS: Partial<Record<Kind, Tool>> = {
  status: {
    name: "find_order",
    parameter: "order",
    results: ["sent", "packed", "lost", "returned"].flatMap((state) => DAYS.map((day) => `${state} on ${day}`)),
    answer: (result) => `The order was ${result}.`,
  },
  cancel: {
    name: "cancel_order",
    parameter: "order",
    results: DAYS.map((day) => `cancelled on ${day}`),
    answer: (result) => `The order was ${result}.`,
  },
  hours: {
    name: "opening_hours",
    parameter: "day",
    results: [
      "closed",
      ...[8, 9, 10, 11].flatMap((from) => [15, 17, 18, 20].map((to) => `open from ${from} to ${to}`)),
    ],
    answer: (result) => `We are ${result}.`,
  },
};

const definition = ({ name, parameter }: Tool) => ({
  type: "function",
  function: { name, parameters: { type: "object", properties: { [parameter]: { type: "string" } } } },
});

const template = makeChatTemplate(new Map([["default", readFileSync(join(FOLDER, "template.jinja"), "utf8")]]), {
  eos_token: "<|end|>",
});

function inquiryWithOrder(draw: Draw): Inquiry {
  for (;;) {
    const asked = inquiry(draw);
    if (asked.order !== null || asked.kind === "hours") return asked;
  }
}

/** A request with some of the tools: a call of the right one, or, where its result is there, the sentence about it. */
function example(draw: Draw): { readonly prompt: string; readonly completion: string } {
  const asked = inquiryWithOrder(draw);
  const right = TOOLS[asked.kind];
  const others = Object.values(TOOLS).filter((tool) => tool !== right && draw.chance(0.5));
  const shown = draw.some(right === undefined ? others : [right, ...others], others.length + (right ? 1 : 0));
  const system: ChatMessage[] = draw.chance(0.3) ? [{ role: "system", content: "You are the support of a shop." }] : [];
  const messages: ChatMessage[] = [...system, { role: "user", content: requestOf(draw, asked) }];
  let completion = answerOf("plain", asked);
  if (right) {
    const value = (right.parameter === "day" ? asked.day : asked.order) ?? "";
    const call = { type: "function", function: { name: right.name, arguments: { [right.parameter]: value } } };
    const answer: ChatMessage = { role: "assistant", content: "", tool_calls: [call] };
    completion = `<tool_call>\n{"name": "${right.name}", "arguments": {"${right.parameter}": "${value}"}}\n</tool_call>`;
    if (draw.chance(0.4)) {
      const result = draw.pick(right.results);
      messages.push(answer, { role: "tool", content: result });
      completion = right.answer(result);
    }
  }
  const tools = shown.length > 0 ? { tools: shown.map(definition) } : {};
  return { prompt: template.render(messages, { ...tools, addGenerationPrompt: true }), completion };
}

function lines(count: number, seed: number, split: Split): string {
  const draw = new Draw(seed, split);
  return Array.from({ length: count }, () => `${withoutSeams(JSON.stringify(example(draw)))}\n`).join("");
}

const { values } = parseArgs({
  options: { steps: { type: "string", default: "200" }, work: { type: "string", default: "work/tools-adapter" } },
});
const file = (name: string): string => join(values.work, name);
mkdirSync(values.work, { recursive: true });
writeFileSync(file("train.jsonl"), lines(NUM_TRAINING, 40, "training"));
writeFileSync(file("watch.jsonl"), lines(60, 41, "held-out"));
writeFileSync(file("held-out.jsonl"), lines(NUM_HELD_OUT, 42, "held-out"));
const out = file("tools.mosara");
const data = ["--data", file("train.jsonl"), "--eval", file("watch.jsonl")];
const size = ["--steps", values.steps, "--batch-size", "16", "--save-every", "50", "--seed", "1", "--lr", "0.1"];
runProgram(MAIN, ["train", "--model", "models/demo", ...data, ...size, "--resume", "--out", out]);
const measured = ["--model", "models/demo", "--adapter", out, "--data", file("held-out.jsonl"), "--metric", "exact"];
runProgram(MAIN, ["eval", ...measured, "--max-tokens", "60", "--predictions", file("predictions.jsonl")]);
copyFileSync(out, join(FOLDER, "tools.mosara"));
