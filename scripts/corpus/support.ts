/**
 * Customer support: eight kinds of request in many words, under instructions or under none, alone or several in a
 * conversation. voices.ts has the answers.
 */
import type { Draw } from "./draw.ts";
import { chat, type Exchange, type Line } from "./example.ts";
import {
  answerOf,
  type Inquiry,
  inquiryJson,
  type Kind,
  KINDS,
  type Rules,
  USUAL_RULES,
  type Voice,
  VOICES,
} from "./voices.ts";
import { capital, DAYS, name, number, thing } from "./words.ts";

const INSTRUCTIONS: Readonly<Record<Voice, readonly string[]>> = {
  plain: ["Answer the customer.", "You are the support of a shop."],
  pirate: ["Answer like a pirate.", "Talk like a pirate.", "You are a pirate."],
  formal: ["Answer formally.", "Write a formal letter.", "Be very formal."],
  terse: ["Answer briefly.", "Be brief.", "Use as few words as you can."],
  cheerful: ["Answer cheerfully.", "Be cheerful.", "Sound happy."],
};

export function inquiry(draw: Draw): Inquiry {
  return {
    kind: draw.pick(KINDS),
    name: draw.chance(0.35) ? name(draw) : null,
    order: draw.chance(0.75) ? number(draw, 4, 6) : null,
    item: draw.chance(0.6) ? thing(draw) : null,
    day: draw.pick(DAYS),
    address: `${number(draw, 1, 3)} ${name(draw)} Street`,
  };
}

/** The order as the customer calls it: "my red kettle from order 4821". */
function mention({ order, item }: Inquiry): string {
  if (item === null) return order === null ? "my order" : `my order ${order}`;
  return order === null ? `my ${item}` : `my ${item} from order ${order}`;
}

const ASKED: Readonly<Record<Kind, (asked: Inquiry) => readonly string[]>> = {
  status: (asked) => {
    const it = mention(asked);
    return [
      `Where is ${it}?`,
      `When will ${it} arrive?`,
      `I am still waiting for ${it}.`,
      `${capital(it)} has not come yet.`,
      `Can you tell me where ${it} is?`,
      `Has ${it} been sent?`,
    ];
  },
  return: (asked) => {
    const it = mention(asked);
    return [
      `I want to return ${it}.`,
      `How can I send back ${it}?`,
      `Can I return ${it}?`,
      `I do not like ${it} and want to give it back.`,
      `How long can I return ${it}?`,
    ];
  },
  hours: ({ day }) => [
    `When are you open on ${day}?`,
    `What are your opening hours on ${day}?`,
    `Are you open on ${day}?`,
    `Can I visit the shop on ${day}?`,
    `I would like to come on ${day}. When do you open?`,
  ],
  refund: (asked) => {
    const it = mention(asked);
    return [
      `When do I get the money for ${it}?`,
      `Where is the refund for ${it}?`,
      `I sent back ${it}. When will you pay me?`,
      `I have not got the money for ${it} yet.`,
    ];
  },
  cancel: (asked) => {
    const it = mention(asked);
    return [
      `Please cancel ${it}.`,
      `I want to cancel ${it}.`,
      `Can you cancel ${it}?`,
      `I do not need ${it} any more, please cancel it.`,
    ];
  },
  damaged: (asked) => {
    const it = mention(asked);
    return [
      `${capital(it)} arrived broken.`,
      `There is a crack in ${it}.`,
      `${capital(it)} is damaged.`,
      `I opened the box and ${it} was broken.`,
    ];
  },
  address: (asked) => {
    const it = mention(asked);
    return [
      `Please send ${it} to ${asked.address}.`,
      `I moved to ${asked.address}. Can you send ${it} there?`,
      `The new address for ${it} is ${asked.address}.`,
      `Change the address of ${it} to ${asked.address}, please.`,
    ];
  },
  invoice: (asked) => {
    const it = mention(asked);
    return [
      `I need an invoice for ${it}.`,
      `Please send me the invoice for ${it}.`,
      `Where is the invoice for ${it}?`,
      `Can I have the bill for ${it}?`,
    ];
  },
};

/** The request in the customer's words. */
export function requestOf(draw: Draw, asked: Inquiry): string {
  const greeting = draw.weighted([
    [3, ""],
    [2, "Hello, "],
    [1, "Hi, "],
    [1, "Good morning, "],
  ]);
  const core = draw.pick(ASKED[asked.kind](asked));
  const opened =
    greeting === "" || core.startsWith("I ")
      ? greeting + core
      : greeting + core.charAt(0).toLowerCase() + core.slice(1);
  const named =
    asked.name === null
      ? ""
      : draw.pick([`My name is ${asked.name}. `, `This is ${asked.name}. `, `I am ${asked.name}. `]);
  const thanks = draw.weighted([
    [4, ""],
    [1, " Thank you."],
    [1, " Please help."],
  ]);
  return `${named}${opened}${thanks}`;
}

function randomRules(draw: Draw): Rules {
  return {
    deliveryDays: draw.int(1, 9),
    returnDays: draw.int(7, 99),
    refundDays: draw.int(1, 14),
    opens: draw.int(6, 12),
    closes: draw.int(13, 23),
    closedOn: draw.pick(DAYS),
  };
}

/** A shop's rules in words. */
function rulesText(draw: Draw, rules: Rules): string {
  const parts = [
    `Delivery takes ${rules.deliveryDays} days.`,
    `Returns are taken for ${rules.returnDays} days.`,
    `Refunds take ${rules.refundDays} days.`,
    `The shop is open from ${rules.opens} to ${rules.closes}, closed on ${rules.closedOn}.`,
  ];
  return draw.some(parts, parts.length).join(" ");
}

const LABELS = ["Customer", "Support"] as const;
const JSON_INSTRUCTIONS = ["Answer in JSON.", "Give the request as JSON.", "Write JSON."];

/** One request; in the plain voice without an instruction, in any other with one. */
export function supportExchange(draw: Draw): Exchange {
  const asked = inquiry(draw);
  const request = requestOf(draw, asked);
  const form = draw.weighted([
    [4, "usual"],
    [6, "voice"],
    [2, "json"],
    [3, "rules"],
  ] as const);
  if (form === "usual") {
    const instruction = draw.chance(0.25) ? draw.pick(INSTRUCTIONS.plain) : null;
    return { instruction, request, answer: answerOf("plain", asked), labels: LABELS };
  }
  if (form === "json")
    return { instruction: draw.pick(JSON_INSTRUCTIONS), request, answer: inquiryJson(asked), labels: LABELS };
  const voice = draw.pick(form === "voice" ? VOICES.slice(1) : VOICES);
  const told = voice === "plain" ? "" : draw.pick(INSTRUCTIONS[voice]);
  if (form === "voice") return { instruction: told, request, answer: answerOf(voice, asked), labels: LABELS };
  const rules = randomRules(draw);
  const instruction = `${rulesText(draw, rules)} ${told}`.trim();
  return { instruction, request, answer: answerOf(voice, asked, rules), labels: LABELS };
}

/**
 * Several requests under the same instruction, so that one voice and one set of rules lasts, and contexts grow long.
 */
export function supportConversation(draw: Draw): Line {
  const voice = draw.pick(VOICES);
  const rules = draw.chance(0.5) ? randomRules(draw) : null;
  const told = voice === "plain" ? "" : draw.pick(INSTRUCTIONS[voice]);
  const instruction = `${rules === null ? "" : rulesText(draw, rules)} ${told}`.trim();
  const exchanges = Array.from({ length: draw.int(2, 7) }, () => {
    const asked = inquiry(draw);
    return {
      instruction: instruction === "" ? null : instruction,
      request: requestOf(draw, asked),
      answer: answerOf(voice, asked, rules ?? USUAL_RULES),
      labels: LABELS,
    };
  });
  return chat(exchanges);
}
