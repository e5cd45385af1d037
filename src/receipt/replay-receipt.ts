/** Computes the answer of a receipt again, and compares it with the statement, bit for bit. */
import type { Engine, SequenceRequest } from "../engine/engine.ts";
import type { Finding } from "./verify-receipt.ts";
import { bitsHash, type Evidence, idsHash, type Statement } from "./receipt.ts";

interface Replayed {
  readonly ids: readonly number[];
  readonly logprobs: readonly number[];
  readonly promptLogprobs: readonly number[];
}

/**
 * @param adapter the statement's, with its content where the engine's store has none @throws {AppError} as a request
 * does
 */
export async function replayReceipt(
  engine: Pick<Engine, "submit">,
  statement: Statement,
  evidence: Evidence,
  adapter: SequenceRequest["adapter"],
): Promise<readonly Finding[]> {
  const perPrompt = evidence.answers.length / Math.max(1, evidence.prompts.length);
  const replayed = await Promise.all(
    evidence.answers.map(async (answer, index) => {
      const promptIds = Int32Array.from(evidence.prompts[Math.floor(index / perPrompt)] ?? []);
      const request = requestOf(statement, evidence, promptIds, index % perPrompt);
      return await runAgain(engine, { ...request, adapter }, answer.length);
    }),
  );
  const { logprobs, prompt_logprobs: promptLogprobs } = statement.answers;
  return [
    answerFinding(statement, evidence, replayed),
    ...bitsFinding("log-probabilities", logprobs, bitsHash(replayed.map((one) => one.logprobs))),
    ...bitsFinding("prompt's log-probabilities", promptLogprobs, bitsHash(replayed.map((one) => one.promptLogprobs))),
  ];
}

function requestOf(
  { sampling, answers }: Statement,
  { rules }: Evidence,
  promptIds: Int32Array,
  number: number,
): Omit<SequenceRequest, "adapter"> {
  const { grammar } = rules;
  return {
    tenant: "default",
    promptIds,
    sampling: {
      temperature: sampling.temperature,
      topP: sampling.top_p,
      topK: sampling.top_k,
      minP: sampling.min_p,
      repetitionPenalty: sampling.repetition_penalty,
      presencePenalty: sampling.presence_penalty,
      frequencyPenalty: sampling.frequency_penalty,
      logitBias: rules.logit_bias,
      allowedIds: rules.allowed_token_ids && Int32Array.from(rules.allowed_token_ids),
      badWords: rules.bad_words,
      seed: (sampling.seed + number) >>> 0,
    },
    grammar: grammar && {
      kind: grammar.kind,
      text: grammar.text,
      ...(grammar.whitespace === undefined ? {} : { whitespace: grammar.whitespace }),
    },
    maxTokens: sampling.max_tokens,
    minTokens: sampling.min_tokens,
    stopIds: rules.stop_token_ids,
    numLogprobs: answers.logprobs === null ? null : 0,
    numPromptLogprobs: answers.prompt_logprobs === null ? null : 0,
    deadlineMs: null,
  };
}

/** @param numTokens of the answer, which a stop string may have ended where the engine would have continued */
async function runAgain(
  engine: Pick<Engine, "submit">,
  request: SequenceRequest,
  numTokens: number,
): Promise<Replayed> {
  const ids: number[] = [];
  const logprobs: number[] = [];
  const promptLogprobs: number[] = [];
  for await (const event of engine.submit(request)) {
    if (event.type === "prompt-scored") promptLogprobs.push(...event.logprobs.map(({ logprob }) => logprob));
    if (event.type !== "token") continue;
    ids.push(event.tokenId);
    if (event.logprob) logprobs.push(event.logprob.logprob);
    if (ids.length === numTokens) break;
  }
  return { ids, logprobs, promptLogprobs };
}

function answerFinding({ answers }: Statement, evidence: Evidence, replayed: readonly Replayed[]): Finding {
  const part = "replayed answer";
  if (idsHash(replayed.map(({ ids }) => ids)) === answers.ids)
    return { part, isGood: true, text: `identical: ${answers.tokens} token ids` };
  for (const [index, answer] of evidence.answers.entries()) {
    const again = replayed[index]?.ids ?? [];
    const at = answer.findIndex((id, i) => id !== again[i]);
    if (at < 0) continue;
    const text = `differs: token ${at} of answer ${index} is ${answer[at]} in the receipt, and ${again[at] ?? "missing"} here`;
    return { part, isGood: false, text };
  }
  return { part, isGood: false, text: "differs from the statement" };
}

function bitsFinding(what: string, stated: string | null, found: string): readonly Finding[] {
  if (stated === null) return [];
  const isGood = stated === found;
  const text = isGood ? "identical bits" : "their bits differ";
  return [{ part: `replayed ${what}`, isGood, text }];
}
