/**
 * The golden answers of a trained adapter: ends of a few examples, scored with the training graph. A pure function of
 * the examples and the trained values, so that equal runs give equal cards.
 */
import { type GoldenAnswer, MAX_GOLDEN_TOKENS } from "../adapter/golden.ts";
import type { TrainExample } from "./data/batches.ts";
import type { TrainModel } from "./train-model.ts";

/** Maximum number of learnt tokens of an example that are scored. */
const MAX_SCORED = 16;

type Window = Omit<GoldenAnswer, "logprob">;

/**
 * Leaves the model with its values as they were. @param values the trained ones, with the layout of `parameters.values`
 */
export async function scoreGolden(
  model: TrainModel,
  values: Float32Array,
  examples: readonly TrainExample[],
  count: number,
): Promise<readonly GoldenAnswer[]> {
  const own = model.parameters.values.slice();
  model.parameters.values.set(values);
  try {
    const answers: GoldenAnswer[] = [];
    for (const { ids, from } of windowsOf(examples, count)) {
      const lossMask = Uint8Array.from(ids, (_, i) => (i >= from ? 1 : 0));
      const numLossTokens = ids.length - from;
      const losses = await model.rowLosses([{ ids: Int32Array.from(ids), lossMask, numLossTokens }]);
      const loss = losses.reduce((sum, one) => sum + one, 0);
      answers.push({ ids, from, logprob: -loss / numLossTokens });
    }
    return answers;
  } finally {
    model.parameters.values.set(own);
  }
}

/** The first learnt tokens of examples that are spread evenly over all, with the tokens before them. */
function windowsOf(examples: readonly TrainExample[], count: number): readonly Window[] {
  const learning = examples.filter(({ numLossTokens }) => numLossTokens > 0);
  const stride = Math.max(1, learning.length / Math.max(1, count));
  return Array.from({ length: Math.min(count, learning.length) }, (_, i) => {
    const { ids, lossMask } = learning[Math.floor(i * stride)] as TrainExample; // below the length
    const first = lossMask.indexOf(1);
    const end = Math.min(ids.length, first + MAX_SCORED);
    const start = Math.max(0, end - MAX_GOLDEN_TOKENS);
    return { ids: Array.from(ids.subarray(start, end)), from: first - start };
  });
}
