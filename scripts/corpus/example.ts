/**
 * What the corpus is made of: a request with an optional instruction, and its answer; as a conversation or as plain
 * text.
 */
import type { Draw } from "./draw.ts";

/** One exchange before it has a form. */
export interface Exchange {
  /** How to answer, and what to know for it; goes into the system turn or before the request. */
  readonly instruction: string | null;
  readonly request: string;
  readonly answer: string;
  /** What the request and its answer are called in plain text. */
  readonly labels: readonly [string, string];
}

/** A line of the corpus, as `mosara train` reads it. */
export type Line =
  | { readonly messages: readonly { readonly role: string; readonly content: string }[] }
  | { readonly prompt: string; readonly completion: string };

/** Exchanges about a text, which stands before the first request. */
export function about(text: string, exchanges: readonly Exchange[]): Exchange[] {
  return exchanges.map((one, i) => (i === 0 ? { ...one, request: `${text}\n${one.request}` } : one));
}

/** A conversation, or now and then plain text. */
export function line(draw: Draw, exchange: Exchange): Line {
  return draw.chance(0.15) ? plain(exchange) : chat([exchange], draw.chance(0.6) ? "system" : "user");
}

/** One conversation: the first exchange's instruction holds for all. @param at the turn that the instruction is in */
export function chat(exchanges: readonly Exchange[], at: "system" | "user" = "system"): Line {
  const instruction = exchanges[0]?.instruction ?? null;
  const turns = exchanges.flatMap(({ request, answer }, i) => [
    { role: "user", content: at === "user" && i === 0 && instruction !== null ? `${instruction} ${request}` : request },
    { role: "assistant", content: answer },
  ]);
  return {
    messages: at === "system" && instruction !== null ? [{ role: "system", content: instruction }, ...turns] : turns,
  };
}

function plain({ instruction, request, answer, labels: [asked, answered] }: Exchange): Line {
  const before = instruction === null ? "" : `${instruction}\n`;
  return { prompt: `${before}${asked}: ${request}\n${answered}:`, completion: ` ${answer}` };
}
