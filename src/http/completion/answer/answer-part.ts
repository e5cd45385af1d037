/**
 * The parts of an answer, whatever API asks for it: text, reasoning and calls of tools. Chat, Responses and Messages each write them in
 * their own shape. A sequence without marks in its text has text parts alone.
 */
import type { ChoiceEvent } from "../generation.ts";

/** A piece of an answer, in the order of generation. Pieces of a kind that follow each other belong together. */
export type AnswerPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  /** A call begins. Its arguments follow, before the next call. */
  | { readonly type: "tool-call"; readonly index: number; readonly id: string; readonly name: string }
  /** A piece of the JSON text of a call's arguments. */
  | { readonly type: "tool-arguments"; readonly index: number; readonly text: string };

/** The parts that an event of a sequence adds. Some parts may come with a later event than their text. */
export type PartsOf = (event: ChoiceEvent) => readonly AnswerPart[];

/** The parts of an answer whose text has no marks. */
export function plainParts(event: ChoiceEvent): readonly AnswerPart[] {
  const text = event.type === "token" ? event.token.text : event.type === "finished" ? event.text : "";
  return text === "" ? [] : [{ type: "text", text }];
}
