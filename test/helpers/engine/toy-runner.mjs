/**
 * A small real model for tests of the engine's loop and processes: the logits after a token sequence are a fixed
 * arithmetic function of its tokens and the adapter's generation, and rows and budget behave as the contract in
 * runner.ts says. Plain JavaScript, because test processes run it without a compiler. It throws where the loop breaks
 * the contract.
 */
import { appendFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export const TOY_VOCAB = 40;
/** A prompt with one of these makes the model misbehave; the model itself never generates them. */
export const BAD_PREFILL = 37; // the runner throws in prefill
export const BAD_STEP = 38; // the runner throws in a decode step
export const BAD_ROW = 39; // NaN in this sequence's row while decoding

function mix(word) {
  word = Math.imul(word ^ (word >>> 16), 0x7feb352d);
  word = Math.imul(word ^ (word >>> 15), 0x846ca68b);
  return (word ^ (word >>> 16)) >>> 0;
}

/** Logits [V] after these tokens. */
export function toyLogits(tokens, generation) {
  let state = 1;
  for (const char of generation ?? "") state = mix(state * 31 + char.charCodeAt(0));
  for (const token of tokens) state = mix(state * 31 + token + 1);
  return Float32Array.from({ length: TOY_VOCAB }, (_, id) =>
    id >= BAD_PREFILL ? -Infinity : (mix(state + id) / 2 ** 32) * 8 - 4,
  );
}

/** Hidden states after these tokens: the logits that are finite. */
export function toyHidden(tokens, generation) {
  return toyLogits(tokens, generation).slice(0, BAD_PREFILL);
}

/** What the model generates greedily, worked out without any engine. */
export function toyGreedy(prompt, generation, numTokens) {
  const tokens = [...prompt];
  for (let i = 0; i < numTokens; i++) {
    const logits = toyLogits(tokens, generation);
    tokens.push(logits.indexOf(Math.max(...logits)));
  }
  return tokens.slice(prompt.length);
}

class ToyKv {
  constructor(numRows, maxTokens) {
    this.numRows = numRows;
    this.maxTokens = maxTokens;
    this.rows = []; // {id, numTokens}, decoding ones first
    this.numDecoding = 0;
  }
  used() {
    return this.rows.reduce((sum, row) => sum + row.numTokens, 0);
  }
  canEverFit(numTokens) {
    return numTokens <= this.maxTokens;
  }
  canAdmit(numTokens) {
    return this.rows.length < this.numRows && this.used() + numTokens <= this.maxTokens;
  }
  admit(id, numTokens) {
    if (!this.canAdmit(numTokens)) throw new Error("toy: admitted beyond the budget");
    this.rows.push({ id, numTokens });
  }
  startDecoding(id) {
    const [row] = this.rows.splice(this.#indexOf(id), 1);
    this.rows.splice(this.numDecoding++, 0, row);
  }
  /** The last decoding row moves into a decoding row's hole, as in a packed cache. */
  release(id) {
    const index = this.#indexOf(id);
    if (index >= this.numDecoding) return void this.rows.splice(index, 1);
    const [last] = this.rows.splice(--this.numDecoding, 1);
    if (last.id !== id) this.rows[index] = last;
  }
  decodingIds() {
    return this.rows.slice(0, this.numDecoding).map(({ id }) => id);
  }
  usage() {
    return this.used() / this.maxTokens;
  }
  #indexOf(id) {
    const index = this.rows.findIndex((row) => row.id === id);
    if (index < 0) throw new Error(`toy: sequence ${id} has no row`);
    return index;
  }
}

/** Every generation exists but those called `missing…`. */
class ToyAdapters {
  constructor(notFound) {
    this.notFound = notFound;
    this.hits = 0;
    this.misses = 0;
    this.ready = new Map();
    this.dropped = [];
  }
  get({ generation }) {
    if (generation.startsWith("missing")) throw this.notFound(generation);
    if (this.ready.has(generation)) this.hits++;
    else this.misses++;
    this.ready.set(generation, { generation });
    return this.ready.get(generation);
  }
  prepare() {}
  onReady() {}
  drop(generation) {
    this.dropped.push(generation);
    return this.ready.delete(generation);
  }
  takeStats() {
    const { hits, misses } = this;
    this.hits = this.misses = 0;
    return { bytes: this.ready.size * 100, hits, misses };
  }
  takeChanges() {
    return { loaded: [], loadSeconds: [], released: [] };
  }
}

/** Rows on the host whose maxima nobody has worked out. */
function logitRows(logits) {
  const numRows = logits.length / TOY_VOCAB;
  const rowOf = (row) => logits.subarray(row * TOY_VOCAB, (row + 1) * TOY_VOCAB);
  return {
    numRows,
    read: async (needs) =>
      needs.map((need, row) => need && { kind: "whole", logits: rowOf(row), maxima: null, blockSize: 16 }),
    all: async () => logits,
  };
}

export class ToyRunner {
  /** @param options see toy-runner.d.mts */
  constructor(options = {}) {
    const {
      numRows = 4,
      maxTokens = 4096,
      maxModelLen = 1024,
      stepMs = 0,
      generation = null,
      logPath = null,
      isDraft = false,
    } = options;
    this.vocabSize = TOY_VOCAB;
    this.maxModelLen = maxModelLen;
    this.isBatchInvariant = true;
    this.capacity = { kvBlockTokens: 64, numKvBlocks: 128, kvCacheType: "float32", maxReadyAdapters: 1000 };
    this.device = { name: "cpu", attention: "fused", precision: "float32", isCacheResident: true };
    this.kv = new ToyKv(numRows, maxTokens);
    const notFound = options.notFound ?? ((name) => new Error(`toy: no adapter ${name}`));
    this.adapters = generation === null ? new ToyAdapters(notFound) : null;
    this.prefixes = options.prefixes?.(this) ?? null;
    this.draftModel = options.draftModel ?? null;
    this.isDraft = isDraft;
    this.generation = generation;
    this.stepMs = stepMs;
    this.logPath = logPath;
    this.tokens = new Map(); // id → tokens in the cache
    this.steps = []; // "prefill 3 0+64", "decode 3,4"
    this.isClosed = false;
  }

  async prefill({ id, past, tokenIds, adapter, logitPositions }) {
    const isDecoding = this.isDraft || this.kv.decodingIds().includes(id);
    if ((past % 64 !== 0 && !isDecoding) || tokenIds.length > 64)
      throw new Error(`toy: bad chunk ${past}+${tokenIds.length}`);
    const known = past === 0 ? [] : this.#cached(id, past, isDecoding);
    this.steps.push(`${isDecoding ? "speculate" : "prefill"} ${id} ${past}+${tokenIds.length}`);
    await this.#pass();
    if (tokenIds.includes(BAD_PREFILL)) throw new Error("toy: prefill failed");
    this.tokens.set(id, [...known, ...tokenIds]);
    return logitRows(this.#rows(logitPositions.map((at) => [[...known, ...tokenIds.subarray(0, at + 1)], adapter])));
  }

  /** Hidden states are `toyHidden`; NaN where the prompt holds `BAD_ROW`. */
  async prefillHidden({ hiddenPositions, ...step }) {
    await this.prefill({ ...step, logitPositions: [] });
    const tokens = this.tokens.get(step.id);
    const generation = step.adapter?.generation ?? this.generation;
    const rows = hiddenPositions.map((at) => toyHidden(tokens.slice(0, step.past + at + 1), generation));
    if (tokens.includes(BAD_ROW)) for (const row of rows) row.fill(NaN);
    return Float32Array.from(rows.flatMap((row) => [...row]));
  }

  async decode(rows) {
    const ids = rows.map(({ id }) => id);
    if (ids.join() !== this.kv.decodingIds().join()) throw new Error("toy: rows out of order");
    this.steps.push(`decode ${ids.join()}`);
    await this.#pass();
    for (const { id, past } of rows) this.tokens.set(id, [...this.#cached(id, past, true)]);
    if (rows.some(({ id }) => this.tokens.get(id).includes(BAD_STEP))) throw new Error("toy: step failed");
    for (const { id, tokenId } of rows) this.tokens.get(id).push(tokenId);
    const logits = this.#rows(rows.map(({ id, adapter }) => [this.tokens.get(id), adapter]));
    for (const [row, { id }] of rows.entries())
      if (this.tokens.get(id).includes(BAD_ROW)) logits.fill(NaN, row * TOY_VOCAB, (row + 1) * TOY_VOCAB);
    return logitRows(logits);
  }

  /** The rows as a prefix cache sees them; a chunk is its tokens, a byte each. */
  get chunkRows() {
    return {
      maxBytes: Infinity,
      bytesPerPosition: 1,
      spareBytes: () => Infinity,
      lendTo: () => {},
      reach: () => {},
      copyOut: (id, from, count) => {
        const tokens = this.tokens.get(id).slice(from, from + count);
        return { numPositions: count, bytes: count, tokens, free: () => {} };
      },
      copyIn: (id, from, chunk) => {
        const known = from === 0 ? [] : this.tokens.get(id);
        if (known?.length !== from) throw new Error(`toy: chunk at ${from} is not behind what was cached`);
        this.steps.push(`copy ${id} ${from}+${chunk.numPositions}`);
        this.tokens.set(id, [...known, ...chunk.tokens]);
      },
    };
  }

  async close() {
    this.isClosed = true;
  }

  /** @param mayHaveMore guesses that were wrong may follow the past of a decoding row */
  #cached(id, past, mayHaveMore) {
    const known = this.tokens.get(id) ?? [];
    if (known.length === past || (mayHaveMore && known.length > past)) return known.slice(0, past);
    throw new Error(`toy: past ${past} of ${id} is not what was cached`);
  }

  #rows(rows) {
    const logits = new Float32Array(rows.length * TOY_VOCAB);
    for (const [row, [tokens, adapter]] of rows.entries())
      logits.set(toyLogits(tokens, adapter?.generation ?? this.generation), row * TOY_VOCAB);
    return logits;
  }

  /** The time a step takes, written down for tests that look at two processes at once. */
  async #pass() {
    const begin = process.hrtime.bigint();
    if (this.stepMs > 0) await sleep(this.stepMs);
    if (this.logPath !== null) appendFileSync(this.logPath, `${process.pid} ${begin} ${process.hrtime.bigint()}\n`);
  }
}
