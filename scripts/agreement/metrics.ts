/** Compares logits of one model with those of another. */

export interface Distance {
  /** Largest logit difference over the largest logit. */
  readonly relative: number;
  /** Mean KL divergence from the wanted distribution, nats a position. */
  readonly kl: number;
  /** How often the best token is the same, 0…1. */
  readonly sameBest: number;
}

function logSoftmax(row: Float32Array): Float64Array {
  const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
  const sum = row.reduce((total, value) => total + Math.exp(value - top), 0);
  return Float64Array.from(row, (value) => value - top - Math.log(sum));
}

function best(row: Float32Array): number {
  return row.reduce((at, value, i) => (value > (row[at] ?? 0) ? i : at), 0);
}

/** Sums over positions, so that texts are compared one after another. */
export class Comparison {
  #difference = 0;
  #largest = 0;
  #kl = 0;
  #same = 0;
  #positions = 0;

  /** @param got logits [positions, V] of a text. @param wanted likewise */
  add(got: Float32Array, wanted: Float32Array, vocabSize: number): void {
    if (got.length !== wanted.length) throw new Error(`internal: ${got.length} logits against ${wanted.length}`);
    for (let i = 0; i < got.length; i++) {
      this.#difference = Math.max(this.#difference, Math.abs((got[i] ?? NaN) - (wanted[i] ?? NaN)));
      this.#largest = Math.max(this.#largest, Math.abs(wanted[i] ?? 0));
    }
    for (let at = 0; at < wanted.length; at += vocabSize) {
      const [a, b] = [wanted.subarray(at, at + vocabSize), got.subarray(at, at + vocabSize)];
      const [p, q] = [logSoftmax(a), logSoftmax(b)];
      this.#kl += p.reduce((sum, value, i) => sum + Math.exp(value) * (value - (q[i] ?? 0)), 0);
      if (best(a) === best(b)) this.#same++;
      this.#positions++;
    }
  }

  get distance(): Distance {
    const kl = Math.max(0, this.#kl / this.#positions);
    return { relative: this.#difference / this.#largest, kl, sameBest: this.#same / this.#positions };
  }
}

/** −log p of each token but the first. @param logits [tokens, V] */
export function tokenLosses(logits: Float32Array, ids: readonly number[], vocabSize: number): number[] {
  return ids.slice(1).map((id, i) => {
    const row = logits.subarray(i * vocabSize, (i + 1) * vocabSize);
    let top = -Infinity;
    for (const value of row) top = Math.max(top, value);
    let sum = 0;
    for (const value of row) sum += Math.exp(value - top);
    return top + Math.log(sum) - (row[id] ?? NaN);
  });
}
