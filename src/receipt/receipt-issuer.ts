/** Makes the receipts of a server from the facts that all of them share and the facts of one answer. */
import type { SequenceRequest } from "../engine/engine.ts";
import type { ReceiptKey } from "./receipt-key.ts";
import {
  bitsHash,
  idsHash,
  jsonHash,
  RECEIPT_FORMAT,
  type Receipt,
  type Rules,
  type Statement,
  textHash,
  UNSIGNED,
} from "./receipt.ts";
import { canonicalJson } from "../formats/canonical-json.ts";

/** The facts of a server that decide the bits of its answers. */
export interface Environment {
  readonly program: Statement["program"];
  readonly machine: Omit<Statement["machine"], "batch_invariant">;
  readonly base: Statement["base"];
  /** --speculative-tokens. */
  readonly speculativeTokens: number;
  /** null: there is no draft model. */
  readonly draftModel: NonNullable<Statement["sampling"]["draft_model"]> | null;
}

/** The facts that all sequences of a request share. */
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

/** A statement, and the parts of the long form. */
interface Stated {
  readonly statement: Statement;
  /** The statement as canonical JSON. */
  readonly text: string;
  readonly rules: Rules;
}

/** A statement with its signature. */
export interface SignedStatement extends Stated {
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
    this.#environment = JSON.parse(canonicalJson(environment)) as Environment; // its keys in alphabetical order
  }

  issue(facts: AnswerFacts): SignedStatement {
    const stated = this.#state(facts);
    return { ...stated, signature: this.#key.sign(stated.text) };
  }

  /** The short form without a signature, which takes half of its time. `sign` adds the signature later. */
  issueUnsigned(facts: AnswerFacts): string {
    const { text } = this.#state(facts);
    return `${base64(text)}.${UNSIGNED}.${this.#key.seal(text)}`;
  }

  /** Signs the short form that `issueUnsigned` made, with the same key. undefined: it is none. */
  sign(unsigned: string): string | undefined {
    const [statement = "", mark, seal = "", ...rest] = unsigned.split(".");
    const text = Buffer.from(statement, "base64url").toString("utf8");
    if (mark !== UNSIGNED || rest.length > 0 || !this.#key.isSealed(text, seal)) return undefined;
    return compactReceipt({ text, signature: this.#key.sign(text) });
  }

  #state(facts: AnswerFacts): Stated {
    const rules = rulesOf(facts.request);
    const statement = statementOf(this.#environment, facts, rules);
    return { statement, text: orderedJson(statement), rules };
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
export function compactReceipt({ text, signature }: Pick<SignedStatement, "text" | "signature">): string {
  return `${base64(text)}.${signature}`;
}

function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64url");
}

/**
 * Canonical JSON of a value whose keys are in alphabetical order already, as those of statements and rules are made.
 * It takes a quarter of the time of sorting them. A test compares both.
 */
function orderedJson(value: Statement | Rules): string {
  return JSON.stringify(value);
}

function statementOf(
  { program, machine, base, speculativeTokens, draftModel }: Environment,
  facts: AnswerFacts,
  rules: Rules,
): Statement {
  const { requestId, isBatchInvariant, adapter, request, prompts, sequences } = facts;
  const { sampling, maxTokens, minTokens } = request;
  const { arch, device, features, kv_cache_dtype: cacheType, threads } = machine;
  const cache = cacheType === undefined ? {} : { kv_cache_dtype: cacheType };
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
    machine: { arch, batch_invariant: isBatchInvariant, device, features, ...cache, threads },
    program,
    prompts: { count: prompts.length, ids: idsHash(prompts), tokens: numTokens(prompts) },
    request: requestId,
    rules: textHash(orderedJson(rules)),
    sampling: {
      ...(draftModel === null ? {} : { draft_model: draftModel }),
      frequency_penalty: sampling.frequencyPenalty,
      max_tokens: maxTokens,
      min_p: sampling.minP,
      min_tokens: minTokens,
      presence_penalty: sampling.presencePenalty,
      repetition_penalty: sampling.repetitionPenalty,
      seed: sampling.seed,
      speculative_tokens: speculativeTokens,
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
