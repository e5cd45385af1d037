/**
 * Two made-up tenants: a lamp shop and a town library. What they know stands in their adapters alone: neither is in the
 * corpus, and a request does not say it.
 */
import type { Draw } from "../corpus/draw.ts";
import { inquiry, requestOf } from "../corpus/support.ts";
import { answerOf, type Inquiry, type Rules } from "../corpus/voices.ts";
import { capital, DAYS, name, number } from "../corpus/words.ts";

interface Talk {
  readonly request: string;
  readonly answer: string;
}

const WEEK: Readonly<Record<string, readonly [opens: number, closes: number]>> = {
  Tuesday: [7, 19],
  Wednesday: [7, 19],
  Thursday: [11, 22],
  Friday: [7, 19],
  Saturday: [8, 13],
  Sunday: [10, 12],
};
const SHOP_RULES = { deliveryDays: 4, returnDays: 45, refundDays: 3, closedOn: "Monday" };

const SHOP_FACTS: readonly (readonly [asks: readonly string[], answer: string])[] = [
  [["Who are you?", "What is your name?", "Which shop is this?"], "This is Tarvo Lamps, the house of light."],
  [
    ["Do you ship abroad?", "Can you send a lamp abroad?", "Do you deliver to other countries?"],
    "We send our lamps to nine countries.",
  ],
  [
    ["How long is the warranty?", "Do I get a warranty?", "What about the warranty?"],
    "Every lamp has a warranty of 6 years.",
  ],
  [["Can I talk to a person?", "What is your phone number?", "How can I call you?"], "Please call us at 70 41 12."],
];

/** Tarvo Lamps: its hours day by day, its delays, and a few facts. */
export function shopTalk(draw: Draw): Talk {
  if (draw.chance(0.25)) {
    const [asks, answer] = draw.pick(SHOP_FACTS);
    return { request: introduced(draw, draw.pick(asks)), answer: `${answer} Your Tarvo team` };
  }
  let asked: Inquiry;
  do asked = inquiry(draw);
  while (!["status", "return", "hours", "refund"].includes(asked.kind));
  const [opens, closes] = WEEK[asked.day] ?? [0, 0];
  const rules: Rules = { ...SHOP_RULES, opens, closes };
  return { request: requestOf(draw, asked), answer: `${answerOf("plain", asked, rules)} Your Tarvo team` };
}

const LIBRARY_FACTS: readonly (readonly [
  asks: (book: string) => readonly string[],
  answer: (book: string) => string,
])[] = [
  [
    (book) => [`How long can I keep book ${book}?`, `When must I bring back book ${book}?`],
    (book) => `Book ${book} may stay with you for 21 days.`,
  ],
  [
    (book) => [`Book ${book} is late. What do I pay?`, `What is the fee for book ${book}? It is late.`],
    (book) => `The fee for book ${book} is 15 cents a day.`,
  ],
  [
    (book) => [`I lost book ${book}.`, `I cannot find book ${book}.`],
    (book) => `For book ${book} you pay 12 euros at the desk.`,
  ],
  [
    (book) => [`Please keep book ${book} for me.`, `Can you put aside book ${book}?`],
    (book) => `Book ${book} waits for you on shelf 8.`,
  ],
];

const LIBRARY_HOURS: Readonly<Record<string, string>> = {
  Monday: "from 14 to 20",
  Tuesday: "from 10 to 18",
  Thursday: "from 10 to 18",
  Friday: "from 10 to 16",
  Saturday: "from 9 to 12",
};

/** The town library: hours, loans, fees. */
export function libraryTalk(draw: Draw): Talk {
  if (draw.chance(0.3)) {
    const day = draw.pick(DAYS);
    const ask = draw.pick([`When are you open on ${day}?`, `Are you open on ${day}?`, `Can I come on ${day}?`]);
    const hours = LIBRARY_HOURS[day];
    return {
      request: introduced(draw, ask),
      answer:
        hours === undefined
          ? `The library is closed on ${day}. Happy reading!`
          : `The library is open on ${day} ${hours}. Happy reading!`,
    };
  }
  const [asks, answer] = draw.pick(LIBRARY_FACTS);
  const book = number(draw, 3, 5);
  return { request: introduced(draw, draw.pick(asks(book))), answer: `${answer(book)} Happy reading!` };
}

/** With a greeting or a name before it, so that the same question comes in many forms. */
function introduced(draw: Draw, question: string): string {
  const before = draw.pick([
    "",
    "Hello, ",
    "Hi, ",
    "Good morning, ",
    `My name is ${name(draw)}. `,
    `I am ${name(draw)}. `,
  ]);
  const isNewSentence = before === "" || before.endsWith(". ") || question.startsWith("I ");
  return before + (isNewSentence ? capital(question) : question.charAt(0).toLowerCase() + question.slice(1));
}
