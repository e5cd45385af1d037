/**
 * The number of tokens worth guessing: the one that gains the most tokens for the time of a run. It
 * depends on earlier guesses of the same sequence alone, so that a row has the same bits in every batch.
 */
// Indices are bounded by the number of kinds, hence `!`.

/**
 * Time of a run with one more token, in steps of one token. Measured on an EPYC (AVX2) with int8: 1.02 for two tokens,
 * 1.38 for four, 2.28 for nine.
 */
const TOKEN_COST = 0.16;
/** Least gain for which a draft is run. */
const MIN_GAIN = 0.01;

/**
 * Kinds of drafts that continue earlier text. `minLength` is the least number of tokens that agree with that text.
 * `share` is the share of right tokens that is assumed at first.
 */
const MATCHES = [
  { minLength: 10, share: 0.85 },
  { minLength: 6, share: 0.75 },
  { minLength: 4, share: 0.65 },
  { minLength: 3, share: 0.55 },
  { minLength: 0, share: 0.4 },
] as const;
/** Share of right tokens that is assumed for the first draft of an answer with a grammar. */
const GRAMMAR_SHARE = 0.6;
/** Share of right tokens that is assumed for the first guesses of a draft model. */
const MODEL_SHARE = 0.7;
/** Weight of an assumed first share: it counts like this many compared tokens. */
const FIRST_WEIGHT = 4;
/** Weight of older drafts, each time that a draft is noted. */
const FADE = 0.8;
/** For each draft that is not worth its time, the share of its kind moves back towards the first share by this part. */
const RECOVERY = 0.02;

/** Tokens of one kind of draft that were compared with the model's choice. */
interface Share {
  readonly first: number;
  numRight: number;
  numCompared: number;
}

const firstShare = (first: number): Share => ({ first, numRight: first * FIRST_WEIGHT, numCompared: FIRST_WEIGHT });

export class DraftPolicy {
  readonly #matches: readonly Share[] = MATCHES.map(({ share }) => firstShare(share));
  readonly #grammar = firstShare(GRAMMAR_SHARE);
  readonly #model = firstShare(MODEL_SHARE);
  #last = this.#grammar;

  /**
   * The number of tokens of a text to draft now. Call it once for each token of the answer.
   * @param matchLength number of tokens that agree with earlier text; null: a draft within a grammar
   * @param max greatest number
   */
  numWorth(matchLength: number | null, max: number): number {
    const kind = MATCHES.findIndex(({ minLength }) => minLength <= (matchLength ?? 0));
    return this.#numWorth(matchLength === null ? this.#grammar : this.#matches[kind]!, max, TOKEN_COST);
  }

  /**
   * The number of tokens that a draft model guesses now. Call it once for each token of the answer that text does not
   * guess.
   * @param guessCost time of one guess, in steps of one token
   */
  numWorthGuessing(guessCost: number, max: number): number {
    return this.#numWorth(this.#model, max, TOKEN_COST + guessCost);
  }

  /** @param tokenCost time that one more token takes, in steps of one token */
  #numWorth(kind: Share, max: number, tokenCost: number): number {
    this.#last = kind;
    const { first, numRight, numCompared } = kind;
    const share = numRight / numCompared;
    let numWorth = 0;
    let bestRate = 1 + MIN_GAIN; // tokens for each step of time
    let expected = 1;
    for (let count = 1; count <= max; count++) {
      expected += share ** count;
      const rate = expected / (1 + tokenCost * count);
      if (rate <= bestRate) continue;
      bestRate = rate;
      numWorth = count;
    }
    if (numWorth === 0) kind.numRight += RECOVERY * (first * numCompared - numRight);
    return numWorth;
  }

  /** Notes the outcome of the draft that was last asked for. */
  note(numDrafted: number, numAccepted: number): void {
    const share = this.#last;
    share.numRight = FADE * share.numRight + numAccepted;
    share.numCompared = FADE * share.numCompared + Math.min(numDrafted, numAccepted + 1);
  }
}
