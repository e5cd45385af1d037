/**
 * Classification made from E2E: a sentence about a place, and whether the place is family-friendly. The label is the
 * attribute of the meaning representation that the sentence was written for; some sentences leave it out, so that
 * nobody is right every time.
 */

interface Pair {
  readonly sentence: string;
  readonly answer: "true" | "false";
}

/** Lines of e2e-train.jsonl → examples. */
export function familyExamples(lines: readonly string[]): readonly string[] {
  const pairs = lines.flatMap((line) => {
    const { prompt, completion } = JSON.parse(line) as { readonly prompt: string; readonly completion: string };
    return labelled(prompt, [completion]);
  });
  return pairs.map(({ sentence, answer }) => JSON.stringify({ prompt: question(sentence), completion: answer }));
}

/**
 * Lines of e2e-dev.jsonl → held-out questions, spread over the places.
 * @param perPlace most sentences about one place
 */
export function familyQuestions(
  lines: readonly string[],
  count: number,
  perPlace = 4,
): { readonly examples: readonly string[]; readonly prompts: readonly string[] } {
  const all = lines.flatMap((line) => {
    const { prompt, references } = JSON.parse(line) as {
      readonly prompt: string;
      readonly references: readonly string[];
    };
    return labelled(prompt, references.slice(0, perPlace));
  });
  const stride = Math.max(1, Math.floor(all.length / Math.max(1, count)));
  const chosen = all.filter((_, i) => i % stride === 0).slice(0, count);
  return {
    examples: chosen.map(({ sentence, answer }) => JSON.stringify({ prompt: question(sentence), completion: answer })),
    prompts: chosen.map(({ sentence, answer }) =>
      JSON.stringify({ prompt: question(sentence), answer, kind: "true-false" }),
    ),
  };
}

function labelled(meaning: string, sentences: readonly string[]): readonly Pair[] {
  const [, value] = /family friendly : (yes|no)/.exec(meaning) ?? [];
  if (value === undefined) return [];
  return sentences.map((sentence) => ({ sentence, answer: value === "yes" ? "true" : "false" }));
}

const question = (sentence: string): string => `${sentence}\nIs the place family-friendly: true or false?\n`;
