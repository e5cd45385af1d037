/** Records the sequences of one answer as they are sent, for the receipt at its end. Knows no shapes of answers. */
import {
  type AnsweredSequence,
  type AnswerFacts,
  compactReceipt,
  type ReceiptIssuer,
} from "../../../receipt/receipt-issuer.ts";
import type { AppContext } from "../../context.ts";
import type { ChoiceEvent } from "../generation.ts";
import type { Target } from "../model/resolve-model.ts";
import type { Prompt } from "../prompts.ts";
import { type SequenceOptions, seedOf } from "../sampling.ts";

/** The header of an unstreamed answer. A request may have it with the value `signed`. */
export const RECEIPT_HEADER = "x-mosara-receipt";

export interface ReceiptRequest {
  readonly requestId: string;
  readonly target: Target;
  readonly prompts: readonly Prompt[];
  readonly numSequences: number;
  readonly options: SequenceOptions;
  /** Whether the answer has the long form, as a field. */
  readonly isAsked: boolean;
  /** Whether the header is signed even if the request does not ask for the field. */
  readonly signsHeader: boolean;
}

export class AnswerReceipt {
  readonly #issuer: ReceiptIssuer;
  readonly #facts: Omit<AnswerFacts, "sequences">;
  readonly #sequences: { ids: number[]; logprobs: number[] | null; promptLogprobs: number[] | null }[];
  readonly #isAsked: boolean;
  readonly #signsHeader: boolean;
  readonly #isAlwaysSent: boolean;

  /** Called in the same turn of the event loop as the sequences are submitted, which decides their engine. */
  constructor(context: AppContext, request: ReceiptRequest) {
    const { requestId, target, prompts, numSequences, options, isAsked, signsHeader } = request;
    this.#issuer = context.receipts;
    this.#facts = {
      requestId,
      isBatchInvariant: context.engine.limits()?.isBatchInvariant ?? false,
      adapter: adapterOf(context, target),
      request: { ...options, sampling: { ...options.sampling, seed: seedOf(options.sampling.seed, 0) } },
      prompts: prompts.map(({ ids }) => ids),
    };
    this.#sequences = Array.from({ length: prompts.length * numSequences }, () => ({
      ids: [],
      logprobs: options.numLogprobs === null ? null : [],
      promptLogprobs: options.numPromptLogprobs === null ? null : [],
    }));
    this.#isAsked = isAsked;
    this.#signsHeader = signsHeader;
    this.#isAlwaysSent = context.limits.receipts === "all";
  }

  add(index: number, event: ChoiceEvent): void {
    const sequence = this.#sequences[index];
    if (event.type === "scored") sequence?.promptLogprobs?.push(...event.logprobs.map(({ logprob }) => logprob));
    if (event.type !== "token") return;
    sequence?.ids.push(event.token.id);
    if (event.token.logprob) sequence?.logprobs?.push(event.token.logprob.logprob);
  }

  /**
   * The headers and fields of a whole answer, after the last event. The header is signed only if the request asks for
   * the header or the field.
   */
  ofWhole(): { readonly headers: Record<string, string>; readonly fields: object } {
    const isWanted = this.#isAsked || this.#signsHeader;
    if (!isWanted && !this.#isAlwaysSent) return { headers: {}, fields: {} };
    const facts = this.#answered();
    if (!isWanted) return { headers: { [RECEIPT_HEADER]: this.#issuer.issueUnsigned(facts) }, fields: {} };
    const signed = this.#issuer.issue(facts);
    const fields = this.#isAsked ? { mosara_receipt: this.#issuer.withEvidence(signed, facts) } : {};
    return { headers: { [RECEIPT_HEADER]: compactReceipt(signed) }, fields };
  }

  /** Fields of a stream's last chunk, after the last event. Nothing is signed unless the request asks for it. */
  ofStream(): object {
    if (!this.#isAsked) return {};
    const facts = this.#answered();
    return { mosara_receipt: this.#issuer.withEvidence(this.#issuer.issue(facts), facts) };
  }

  #answered(): AnswerFacts {
    return { ...this.#facts, sequences: this.#sequences satisfies readonly AnsweredSequence[] };
  }
}

function adapterOf({ engine }: AppContext, { adapter }: Target): AnswerFacts["adapter"] {
  if (adapter === null) return null;
  const { generation, blend } = adapter;
  return {
    generation,
    placement: engine.loadedAdapters().merged.has(generation) ? "merged" : "live",
    ...(blend ? { blend: [...blend] } : {}),
  };
}
