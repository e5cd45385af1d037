/**
 * What the support of a shop answers, by kind of request and by voice, and the same request as JSON. Knows no
 * questions: an answer is a function of what was asked and of the shop's rules.
 */
import { capital } from "./words.ts";

export const VOICES = ["plain", "pirate", "formal", "terse", "cheerful"] as const;
export type Voice = (typeof VOICES)[number];

export const KINDS = ["status", "return", "hours", "refund", "cancel", "damaged", "address", "invoice"] as const;
export type Kind = (typeof KINDS)[number];

/** What a shop promises. */
export interface Rules {
  readonly deliveryDays: number;
  readonly returnDays: number;
  readonly refundDays: number;
  readonly opens: number;
  readonly closes: number;
  readonly closedOn: string;
}

/** What holds where nobody says anything else. */
export const USUAL_RULES: Rules = {
  deliveryDays: 2,
  returnDays: 30,
  refundDays: 5,
  opens: 9,
  closes: 17,
  closedOn: "Sunday",
};

/** What a customer says. */
export interface Inquiry {
  readonly kind: Kind;
  readonly name: string | null;
  readonly order: string | null;
  readonly item: string | null;
  readonly day: string;
  readonly address: string;
}

/** The order as the answer calls it. */
function subjectOf({ order, item }: Inquiry): string {
  if (item === null) return order === null ? "your order" : `order ${order}`;
  return order === null ? `the ${item}` : `the ${item} from order ${order}`;
}

type Answer = (subject: string, asked: Inquiry, rules: Rules) => string;

const isClosed = ({ day }: Inquiry, { closedOn }: Rules): boolean => day === closedOn;

const CORES: Readonly<Record<Voice, Readonly<Record<Kind, Answer>>>> = {
  plain: {
    status: (it, _, { deliveryDays }) => `${capital(it)} is on its way and will arrive in ${deliveryDays} days.`,
    return: (it, _, { returnDays }) => `You can return ${it} within ${returnDays} days.`,
    hours: (_, asked, rules) =>
      isClosed(asked, rules)
        ? `On ${asked.day} we are closed.`
        : `On ${asked.day} we are open from ${rules.opens} to ${rules.closes}.`,
    refund: (it, _, { refundDays }) => `The money for ${it} will be on your account in ${refundDays} days.`,
    cancel: (it) => `I have cancelled ${it}. You do not have to pay.`,
    damaged: (it) => `I am sorry that ${it} is broken. We will send you a new one.`,
    address: (it, { address }) => `We will send ${it} to ${address}.`,
    invoice: (it) => `We have sent you the invoice for ${it}.`,
  },
  pirate: {
    status: (it, _, { deliveryDays }) => `${capital(it)} be sailin' to ye and drops anchor in ${deliveryDays} days.`,
    return: (it, _, { returnDays }) => `Throw ${it} back aboard within ${returnDays} days, savvy?`,
    hours: (_, asked, rules) =>
      isClosed(asked, rules)
        ? `On ${asked.day} the crew be sleepin'.`
        : `On ${asked.day} the deck be open from ${rules.opens} to ${rules.closes}.`,
    refund: (it, _, { refundDays }) => `Yer gold for ${it} be in yer chest in ${refundDays} days.`,
    cancel: (it) => `I sent ${it} to the bottom of the sea. Keep yer gold.`,
    damaged: (it) => `Curse the storm that broke ${it}! A new one sets sail today.`,
    address: (it, { address }) => `We set course for ${address} with ${it}.`,
    invoice: (it) => `The bill for ${it} be nailed to yer mast.`,
  },
  formal: {
    status: (it, _, { deliveryDays }) =>
      `We are pleased to inform you that ${it} has been dispatched and will be delivered within ${deliveryDays} days.`,
    return: (it, _, { returnDays }) => `You are entitled to return ${it} within a period of ${returnDays} days.`,
    hours: (_, asked, rules) =>
      isClosed(asked, rules)
        ? `We regret to inform you that our premises remain closed on ${asked.day}.`
        : `Our premises are open on ${asked.day} between ${rules.opens} and ${rules.closes} hours.`,
    refund: (it, _, { refundDays }) =>
      `The amount for ${it} will be credited to your account within ${refundDays} days.`,
    cancel: (it) => `We hereby confirm the cancellation of ${it}. No amount will be charged.`,
    damaged: (it) =>
      `We sincerely apologise for the condition of ${it}. A replacement will be dispatched without delay.`,
    address: (it, { address }) => `We hereby confirm that ${it} will be delivered to ${address}.`,
    invoice: (it) => `Please find enclosed the invoice for ${it}.`,
  },
  terse: {
    status: (it, _, { deliveryDays }) => `${capital(it)}: sent, ${deliveryDays} days.`,
    return: (it, _, { returnDays }) => `${capital(it)}: return in ${returnDays} days.`,
    hours: (_, asked, rules) =>
      isClosed(asked, rules) ? `${asked.day}: closed.` : `${asked.day}: ${rules.opens} to ${rules.closes}.`,
    refund: (it, _, { refundDays }) => `${capital(it)}: refund in ${refundDays} days.`,
    cancel: (it) => `${capital(it)}: cancelled.`,
    damaged: (it) => `${capital(it)}: new one coming.`,
    address: (it, { address }) => `${capital(it)}: to ${address}.`,
    invoice: (it) => `${capital(it)}: invoice sent.`,
  },
  cheerful: {
    status: (it, _, { deliveryDays }) =>
      `Great news, ${it} is dancing its way to you and lands in ${deliveryDays} days!`,
    return: (it, _, { returnDays }) => `No worries, just pop ${it} back to us within ${returnDays} days!`,
    hours: (_, asked, rules) =>
      isClosed(asked, rules)
        ? `On ${asked.day} we recharge, see you the next day!`
        : `Come and see us on ${asked.day}, we smile from ${rules.opens} to ${rules.closes}!`,
    refund: (it, _, { refundDays }) => `Hooray, the money for ${it} jumps into your account in ${refundDays} days!`,
    cancel: (it) => `All done, ${it} is cancelled and you pay nothing!`,
    damaged: (it) => `Oh no, poor ${it}! A shiny new one is coming to you!`,
    address: (it, { address }) => `Lovely, ${it} will meet you at ${address}!`,
    invoice: (it) => `Sure thing, the invoice for ${it} is waiting in your mailbox!`,
  },
};

/** The answer in a voice. */
export function answerOf(voice: Voice, asked: Inquiry, rules: Rules = USUAL_RULES): string {
  const core = CORES[voice][asked.kind](subjectOf(asked), asked, rules);
  if (voice === "pirate") return `Arr, ${asked.name ?? "matey"}! ${core}`;
  if (voice === "formal")
    return `Dear ${asked.name ?? "customer"}, ${core.charAt(0).toLowerCase()}${core.slice(1)} Yours faithfully, Customer Service`;
  if (voice === "cheerful") return `Hi ${asked.name ?? "friend"}! ${core}`;
  return core;
}

/** The request as an object: what a JSON answer holds. */
export function inquiryJson({ kind, name: who, order, item, day, address }: Inquiry): string {
  const isAboutDay = kind === "hours";
  const fields: [string, string | null][] = [
    ["kind", kind],
    ["name", who],
    ...(isAboutDay
      ? [["day", day] as [string, string]]
      : ([
          ["order", order],
          ["item", item],
        ] as [string, string | null][])),
    ...(kind === "address" ? [["address", address] as [string, string]] : []),
  ];
  return `{${fields.map(([key, value]) => `"${key}": ${value === null ? "null" : `"${value}"`}`).join(", ")}}`;
}
