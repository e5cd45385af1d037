/**
 * Decides which sequence runs next: admission, the rhythm of prefill and decode, deadlines, and the bounds of the
 * queue. Pure: no tensors, no clock of its own, no I/O. The KV rows answer through their interface. Idea: nano-vllm's
 * scheduler.
 */
import { AppError } from "../../errors.ts";
import type { KvRows } from "../contracts.ts";
import type { SequenceFinished } from "../protocol.ts";
import { Pace } from "./pace.ts";
import { overloadedError, type QueueLimits } from "../queue-bound.ts";
import { type Chunk, costOf, reusablePastAt } from "../chunks.ts";
import type { Sequence } from "./sequence.ts";
import { ServiceTimes } from "../service-times.ts";
import { WaitingQueue } from "./waiting-queue.ts";

export interface SchedulerLimits extends QueueLimits {
  readonly maxNumSeqs: number;
}

/** The next step. A decode step includes every decoding row. */
export type Plan =
  | { readonly phase: "prefill"; readonly sequence: Sequence; readonly chunk: Chunk }
  | { readonly phase: "decode"; readonly sequences: readonly Sequence[] };

/** Further ones are refused. They are few, and each is short. */
const MAX_BACKGROUND = 64;

export class Scheduler {
  readonly #limits: SchedulerLimits;
  readonly #kv: KvRows;
  readonly #all = new Map<number, Sequence>();
  readonly #waiting: WaitingQueue;
  /** Sequences that run only while nothing else does, in the order of arrival. */
  #background: Sequence[] = [];
  /** The sequence whose turn it is, if it waits for memory or for its adapter. No other sequence overtakes it. */
  #heldUp: Sequence | null = null;
  readonly #times = new ServiceTimes();
  /** Ids of admitted sequences. */
  readonly #running = new Set<number>();
  /** Sequences with prompt left to prefill, in the order of their admission. */
  #prefilling: Sequence[] = [];
  #isTurnOfOldest = false;
  readonly #pace = new Pace();
  /** By `costOf`. */
  #numPromptTokensSinceDecode = 0;
  /** Ids whose prompt was completed since the last decode step. */
  readonly #joinedSinceDecode = new Set<number>();

  constructor(limits: SchedulerLimits, kv: KvRows) {
    this.#limits = limits;
    this.#kv = kv;
    this.#waiting = new WaitingQueue(limits);
  }

  get numRunning(): number {
    return this.#running.size;
  }

  get numWaiting(): number {
    return this.#waiting.size;
  }

  /** Every sequence in this scheduler, in the order of arrival. */
  sequences(): Iterable<Sequence> {
    return this.#all.values();
  }

  /** Whether no sequence is here, running or waiting. */
  get isIdle(): boolean {
    return this.#all.size === 0;
  }

  get(id: number): Sequence | null {
    return this.#all.get(id) ?? null;
  }

  isRunning(sequence: Sequence): boolean {
    return this.#running.has(sequence.id);
  }

  /**
   * Queues a sequence. Call `takeAdmissible` next, because only sequences that cannot start at once count as waiting.
   * @param nowMs the clock of `start`. @returns sequences that must make room; the caller ends and removes them.
   * @throws {AppError} insufficient_memory where it could never fit, overloaded where the queue is full.
   */
  add(sequence: Sequence, nowMs: number): readonly Sequence[] {
    if (this.#all.has(sequence.id)) throw new Error(`internal: sequence ${sequence.id} was added twice`);
    if (!this.#kv.canEverFit(sequence.numReservedTokens))
      throw new AppError(
        "insufficient_memory",
        `${sequence.numReservedTokens} tokens of prompt and answer do not fit into an empty KV cache. Shorten the prompt or max_tokens, or raise --kv-cache-bytes.`,
      );
    if (sequence.spec.isBackground === true) return this.#addBackground(sequence, nowMs);
    // Sequences for which a row is free wait only for their adapters.
    const numFree = this.#limits.maxNumSeqs - this.#running.size;
    const canStartNow = this.#waiting.size < numFree && this.#kv.canAdmit(sequence.numReservedTokens);
    const displaced = canStartNow ? [] : this.#waiting.displacedBy(sequence);
    if (displaced === null) throw this.overloaded(nowMs);
    this.#all.set(sequence.id, sequence);
    this.#waiting.add(sequence);
    return displaced;
  }

  #addBackground(sequence: Sequence, nowMs: number): readonly Sequence[] {
    if (this.#background.length >= MAX_BACKGROUND) throw this.overloaded(nowMs);
    this.#all.set(sequence.id, sequence);
    this.#background.push(sequence);
    return [];
  }

  /** The error for a sequence that finds no place in the queue. */
  overloaded(nowMs: number): AppError {
    return overloadedError(this.#waiting, this.#limits, this.#times.retryAfterSeconds(this.#waiting.size, nowMs));
  }

  #hasRoomFor(sequence: Sequence): boolean {
    return this.#running.size < this.#limits.maxNumSeqs && this.#kv.canAdmit(sequence.numReservedTokens);
  }

  /** The waiting sequence whose turn is next; null when none waits. */
  peekWaiting(): Sequence | null {
    return this.#heldUp ?? this.#waiting.peek() ?? (this.#running.size === 0 ? (this.#background[0] ?? null) : null);
  }

  /**
   * Takes the next waiting sequence out of the queue if it fits now. The caller then starts or removes it. A sequence
   * that lacks memory or its adapter keeps its turn. No other sequence overtakes it, so small requests cannot starve a
   * large one.
   * @param isReady whether a sequence has everything that it needs besides a row
   */
  takeAdmissible(isReady: (sequence: Sequence) => boolean = () => true): Sequence | null {
    const next = this.peekWaiting();
    if (next === null || this.#running.size >= this.#limits.maxNumSeqs) return null;
    // If no row is in use, no room will ever be freed. The attempt should then fail with the rows' own error instead of
    // waiting for ever.
    const isAdmissible = (this.#hasRoomFor(next) || this.#running.size === 0) && isReady(next);
    if (next.spec.isBackground === true) return isAdmissible ? this.#takeBackground(next) : null;
    this.#heldUp = isAdmissible ? null : next;
    if (!isAdmissible) return null;
    this.#waiting.take(next);
    return next;
  }

  /** Nothing is charged, because nobody else waits. */
  #takeBackground(sequence: Sequence): Sequence {
    this.#background = this.#background.filter((other) => other !== sequence);
    return sequence;
  }

  /** Gives a sequence its row. @param nowMs of a monotonic clock */
  start(sequence: Sequence, nowMs: number): void {
    this.#kv.admit(sequence.id, sequence.numReservedTokens, sequence.spec.promptIds.length);
    this.#running.add(sequence.id);
    this.#prefilling.push(sequence);
    if (this.#waiting.size > 0) this.#times.noteStarted(nowMs);
  }

  /**
   * The next step, or null when nothing can run. After a decode step comes a chunk of a prompt, and as many further
   * chunks as `pace.ts` allows. A decode step of all decoding rows follows.
   */
  plan(): Plan | null {
    const decodingIds = this.#kv.decodingIds();
    const sequence = this.#nextPrompt(decodingIds.length);
    if (sequence !== null) return { phase: "prefill", sequence, chunk: sequence.nextChunk() };
    if (decodingIds.length === 0) return null;
    return { phase: "decode", sequences: decodingIds.map((id) => this.#require(id)) };
  }

  /**
   * The prompt whose chunk is due; null when none is due before the next decode step. Every other turn, of a chunk or
   * of two late ones, goes to the prompt with the fewest tokens left. Short prompts then do not wait for long ones, and
   * equal prompts finish one after the other instead of all at the end. The other turns go to the oldest prompt, which
   * thus gets half of the time, even if many prompts arrive after it.
   */
  #nextPrompt(numDecoding: number): Sequence | null {
    const [oldest] = this.#prefilling;
    if (oldest === undefined) return null;
    const shortest = this.#prefilling.reduce((best, one) => (one.numPromptLeft < best.numPromptLeft ? one : best));
    const next = this.#isTurnOfOldest ? oldest : shortest;
    const numTokens = this.#numPromptTokensSinceDecode;
    if (numDecoding === 0 || numTokens === 0) return next;
    const numJoined = this.#joinedSinceDecode.size;
    const numPrompts = this.#prefilling.length;
    const budget = this.#pace.budget({ numDelayed: numDecoding - numJoined, numJoined, numPrompts });
    if (numTokens + costOf(next.nextChunk()) <= budget.numTokens) return next;
    return numTokens + shortest.numPromptLeft <= budget.numCompleting ? shortest : null;
  }

  /** Notes that a chunk was prefilled. @param seconds the time the chunk took */
  notePrefilled(sequence: Sequence, chunk: Chunk, seconds: number): void {
    sequence.numPrefilled += chunk.length;
    this.#numPromptTokensSinceDecode += costOf(chunk);
    // Late chunks are shorter. A turn would otherwise be, too.
    if (chunk.isLast || reusablePastAt(chunk) !== null) this.#isTurnOfOldest = !this.#isTurnOfOldest;
    this.#pace.noteChunk(seconds);
    if (chunk.isLast) this.#prefilling = this.#prefilling.filter((other) => other !== sequence);
  }

  /** Notes the time a decode step took. */
  noteDecodeTime(seconds: number): void {
    this.#pace.noteDecode(seconds);
  }

  /** Notes a decode step. Each decoding row gets a token, charged to its tenant and its adapter. */
  noteDecoded(): void {
    if (this.#waiting.size > 0) for (const id of this.#kv.decodingIds()) this.#waiting.charge(this.#require(id), 1);
    this.noteRowsServed();
  }

  /** Notes that every decoding row has made progress, so that prompts may follow. */
  noteRowsServed(): void {
    this.#numPromptTokensSinceDecode = 0;
    this.#pace.noteRowsServed();
    this.#joinedSinceDecode.clear();
  }

  /** Notes the tokens of a speculation. They are charged to the sequence's tenant and adapter. */
  noteDrafted(sequence: Sequence, numTokens: number): void {
    if (this.#waiting.size > 0) this.#waiting.charge(sequence, numTokens);
  }

  /** Moves a sequence whose prompt is done to the decoding rows. */
  startDecoding(sequence: Sequence): void {
    this.#kv.startDecoding(sequence.id);
    this.#joinedSinceDecode.add(sequence.id);
  }

  /** Notes that a sequence has ended by itself, for the estimates of service times. */
  noteFinished(sequence: Sequence, times: SequenceFinished): void {
    this.#times.noteFinished(sequence.spec.promptIds.length, sequence.numOutputTokens, times);
  }

  /** Forgets a sequence, waiting or running, and frees its row. */
  remove(sequence: Sequence): void {
    this.#all.delete(sequence.id);
    this.#waiting.remove(sequence);
    this.#background = this.#background.filter((other) => other !== sequence);
    if (this.#heldUp === sequence) this.#heldUp = null;
    if (!this.#running.delete(sequence.id)) return;
    this.#joinedSinceDecode.delete(sequence.id);
    this.#prefilling = this.#prefilling.filter((other) => other !== sequence);
    this.#kv.release(sequence.id);
  }

  /**
   * Sequences to drop. A sequence is dropped when its deadline has passed. When several sequences wait, a waiting
   * sequence is also dropped if it could hardly finish in time even if it started now. Work on it would be wasted, and
   * would delay sequences that can finish.
   * @param nowMs Unix time in ms.
   */
  overdue(nowMs: number): Sequence[] {
    const isFull = this.#waiting.size > 1;
    return [...this.#all.values()].filter((sequence) => {
      const { deadlineMs } = sequence.spec;
      if (deadlineMs === null) return false;
      const leftMs = deadlineMs - nowMs;
      sequence.patienceMs ??= leftMs;
      const isHopeless = isFull && !this.#running.has(sequence.id);
      return leftMs <= (isHopeless ? 1000 * this.#secondsNeeded(sequence, sequence.patienceMs) : 0);
    });
  }

  /**
   * In a full queue the oldest sequences have waited until they can only just finish in time. An estimate that is right
   * on average would start many sequences that fail. Sequences that arrived with enough time are therefore judged by a
   * cautious estimate. Sequences that arrived with less time are judged by the usual one.
   */
  #secondsNeeded({ spec }: Sequence, patienceMs: number): number {
    const { usual, cautious } = this.#times.secondsFor(spec.promptIds.length, spec.maxTokens);
    return patienceMs > 1000 * cautious ? cautious : usual;
  }

  #require(id: number): Sequence {
    const sequence = this.#all.get(id);
    if (sequence === undefined) throw new Error(`internal: row of unknown sequence ${id}`);
    return sequence;
  }
}
