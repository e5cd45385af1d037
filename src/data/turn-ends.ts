/**
 * Tokens that close turns of the training data but do not end the base's answers. A template may close its turns with a
 * token that no configuration names as an end token. An adapter trained on such turns must list this token, or its
 * answers would never stop.
 */
import type { EncodedExample, ExampleEncoder } from "./encode.ts";

/** @returns ids, ascending; empty where every turn ends as the base's answers do */
export function unheededTurnEnds(examples: readonly EncodedExample[], encoder: ExampleEncoder): readonly number[] {
  const { tokenizer } = encoder;
  const ends = new Set(encoder.endTokenIds);
  const found = new Set<number>();
  for (const { ids, lossMask } of examples)
    ids.forEach((id, i) => {
      const isLastOfTurn = lossMask[i] === 1 && lossMask[i + 1] !== 1;
      if (isLastOfTurn && tokenizer.isSpecial(id) && !ends.has(id)) found.add(id);
    });
  return [...found].sort((a, b) => a - b);
}

/** The notice that training prints about these tokens. */
export function turnEndNotice(ids: readonly number[], { tokenizer }: ExampleEncoder): string {
  const names = ids.map((id) => `${id} ${JSON.stringify(tokenizer.idToToken(id))}`).join(", ");
  return `the template closes turns with ${names}, which does not end answers of this model. It becomes an end token of the trained adapter or model.`;
}
