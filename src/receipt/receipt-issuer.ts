/** Makes the receipts of a server: what is the same in all of them, and what one answer adds. */
import type { SequenceRequest } from "../engine/engine.ts";
import type { ReceiptKey } from "./receipt-key.ts";
import { bitsHash, idsHash, jsonHash, RECEIPT_FORMAT, type Receipt, type Rules, type Statement } from "./receipt.ts";
import { canonicalJson } from "../formats/canonical-json.ts";

/** The facts of a server that decide the bits of its answers. */
export interface Environment {
  readonly program: Statement["program"];
  readonly machine: Omit<Statement["machine"], "batch_invariant">;
  readonly base: Statement["base"];
  /** --speculative-tokens. */
  readonly speculativeTokens: number;
}

/** What every sequence of a request has in common. */
export type SharedRequest = Pick<SequenceRequest, "sampling" | "maxTokens" | "minTokens" | "stopIds" | "grammar">;

/** One sequence of an answer, as far as it was sent. */
export interface AnsweredSequence {
  readonly ids: readonly number[];
  /** null: none were computed. */
  readonly logprobs: readonly number[] | null;
  readonly promptLogprobs: readonly number[] | null;
}

export interface AnswerFacts {
  readonly requestId: string;
  readonly isBatchInvariant: boolean;
  readonly adapter: Statement["adapter"];
  readonly request: SharedRequest;
  readonly prompts: readonly Int32Array[];
  /** The same number for each prompt, in the order of the prompts. */
  readonly sequences: readonly AnsweredSequence[];
}

/** A statement with its signature, and the parts of the long form. */
export interface SignedStatement {
  readonly statement: Statement;
  /** The statement as canonical JSON. */
  readonly text: string;
  readonly rules: Rules;
  /** In base64url. */
  readonly signature: string;
}

export class ReceiptIssuer {
  readonly key: Pick<ReceiptKey, "publicKey" | "publicPem">;
  readonly #key: ReceiptKey;
  readonly #environment: Environment;

  constructor(key: ReceiptKey, environment: Environment) {
    this.key = key;
    this.#key = key;
    this.#environment = environment;
  }

  issue(facts: AnswerFacts): SignedStatement {
    const rules = rulesOf(facts.request);
    const statement = statementOf(this.#environment, facts, rules);
    const text = canonicalJson(statement);
    return { statement, text, rules, signature: this.#key.sign(text) };
  }

  /** The long form, with everything that a replay needs. */
  withEvidence({ statement, rules, signature }: SignedStatement, { prompts, sequences }: AnswerFacts): Receipt {
    return {
      format: RECEIPT_FORMAT,
      statement,
      signature: { public_key: this.#key.publicKey, value: signature },
      evidence: { prompts: prompts.map((ids) => [...ids]), answers: sequences.map(({ ids }) => [...ids]), rules },
    };
  }
}

/** The short form: the statement and its signature, each in base64url. */
export function compactReceipt({ text, signature }: SignedStatement): string {
  return `${Buffer.from(text, "utf8").toString("base64url")}.${signature}`;
}

function statementOf(
  { program, machine, base, speculativeTokens }: Environment,
  facts: AnswerFacts,
  rules: Rules,
): Statement {
  const { requestId, isBatchInvariant, adapter, request, prompts, sequences } = facts;
  const { sampling, maxTokens, minTokens } = request;
  const { arch, device, features, threads } = machine;
  const answers = sequences.map(({ ids }) => ids);
  return {
    adapter: adapter && adapterOf(adapter),
    answers: {
      count: sequences.length,
      ids: idsHash(answers),
      logprobs: hashIfKnown(sequences.map(({ logprobs }) => logprobs)),
      prompt_logprobs: hashIfKnown(sequences.map(({ promptLogprobs }) => promptLogprobs)),
      tokens: numTokens(answers),
    },
    base,
    grammar: rules.grammar === null ? null : jsonHash(rules.grammar),
    issued: Math.floor(Date.now() / 1000),
    machine: { arch, batch_invariant: isBatchInvariant, device, features, threads },
    program,
    prompts: { count: prompts.length, ids: idsHash(prompts), tokens: numTokens(prompts) },
    request: requestId,
    rules: jsonHash(rules),
    sampling: {
      frequency_penalty: sampling.frequencyPenalty,
      speculative_tokens: speculativeTokens,
      max_tokens: maxTokens,
      min_p: sampling.minP,
      min_tokens: minTokens,
      presence_penalty: sampling.presencePenalty,
      repetition_penalty: sampling.repetitionPenalty,
      seed: sampling.seed,
      temperature: sampling.temperature,
      top_k: sampling.topK,
      top_p: sampling.topP,
    },
    version: 1,
  };
}

function adapterOf({ blend, generation, placement }: NonNullable<Statement["adapter"]>): Statement["adapter"] {
  const parts = blend?.map((part) => ({ generation: part.generation, weight: part.weight }));
  return { ...(parts ? { blend: parts } : {}), generation, placement };
}

function rulesOf({ sampling, stopIds, grammar }: SharedRequest): Rules {
  const { allowedIds, badWords, logitBias } = sampling;
  return {
    allowed_token_ids: allowedIds && [...allowedIds],
    bad_words: badWords.map((ids) => [...ids]),
    grammar: grammar ? grammarOf(grammar) : null,
    logit_bias: logitBias.map(([id, bias]) => [id, bias]),
    stop_token_ids: [...stopIds],
  };
}

function grammarOf({ kind, text, whitespace }: NonNullable<SharedRequest["grammar"]>): Rules["grammar"] {
  return { kind, text, ...(whitespace === undefined ? {} : { whitespace }) };
}

function numTokens(lists: readonly { readonly length: number }[]): number {
  return lists.reduce((sum, { length }) => sum + length, 0);
}

function hashIfKnown(lists: readonly (readonly number[] | null)[]): string | null {
  const known = lists.filter((list) => list !== null);
  return known.length === lists.length ? bitsHash(known) : null;
}
