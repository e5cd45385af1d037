/**
 * The parts of an answer, the same for all APIs: text, reasoning and tool calls. Chat, Responses and Messages each
 * write them in their own shape. An answer without marks has only text parts.
 */

/** A piece of an answer, in the order of generation. Pieces of a kind that follow each other belong together. */
export type AnswerPart =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "reasoning"; readonly text: string }
  /** A call begins. Its arguments follow, before the next call. */
  | { readonly type: "tool-call"; readonly index: number; readonly id: string; readonly name: string }
  /** A piece of the JSON text of a call's arguments. */
  | { readonly type: "tool-arguments"; readonly index: number; readonly text: string };

/** Joins consecutive pieces of the same kind. */
export function joinParts(parts: readonly AnswerPart[]): readonly AnswerPart[] {
  const out: AnswerPart[] = [];
  for (const part of parts) {
    const last = out.at(-1);
    if (
      last !== undefined &&
      "text" in part &&
      "text" in last &&
      last.type === part.type &&
      indexOf(last) === indexOf(part)
    )
      out[out.length - 1] = { ...last, text: last.text + part.text };
    else out.push(part);
  }
  return out;
}

const indexOf = (part: AnswerPart): number => ("index" in part ? part.index : -1);
