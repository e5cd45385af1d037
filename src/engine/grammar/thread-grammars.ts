/**
 * The grammar thread as the engine's own thread sees it. A grammar is bound to a sequence before the sequence gets a
 * row. The thread reads each token and computes the next mask while the model runs. If the thread ends, its sequences
 * fail, and the next sequence starts another thread.
 */
import { Worker } from "node:worker_threads";
import { AppError, fromWire } from "../../errors.ts";
import type { GrammarSpec } from "../../grammar/grammar-spec.ts";
import { entryUrl } from "../../program-files.ts";
import type { AnswerPlace, BoundGrammar, Grammars, TokenMask } from "../contracts.ts";
import type { GrammarOrder, GrammarReply, GrammarThreadData } from "./grammar-messages.ts";
import { MaskSlot } from "./mask-slot.ts";

const ENTRY = entryUrl("engine/grammar/grammar-thread");

interface Binding {
  readonly grammar: ThreadGrammar;
  isReady: boolean;
  error: AppError | null;
}

export class ThreadGrammars implements Grammars, AsyncDisposable {
  readonly #data: GrammarThreadData;
  readonly #bindings = new Map<number, Binding>();
  /** Memory of sequences that have ended. */
  readonly #spare: MaskSlot[] = [];
  #thread: Worker | null = null;
  #onReady: () => void = () => {};
  #isClosed = false;

  /** Starts the thread, so that it has read the vocabulary when the first grammar comes. */
  constructor(data: GrammarThreadData) {
    this.#data = data;
    this.#start();
  }

  bind(id: number, spec: GrammarSpec, promptIds: Int32Array): BoundGrammar | null {
    const binding = this.#bindings.get(id) ?? this.#open(id, spec, promptIds);
    if (binding.error !== null) throw binding.error;
    return binding.isReady ? binding.grammar : null;
  }

  release(id: number): void {
    const binding = this.#bindings.get(id);
    if (binding === undefined) return;
    this.#bindings.delete(id);
    this.#post({ type: "release", id });
    // The thread may still be writing for this sequence. It obeys orders one after another, so it writes for a later
    // sequence only afterwards.
    this.#spare.push(binding.grammar.slot);
  }

  onReady(listener: () => void): void {
    this.#onReady = listener;
  }

  /** Ends the thread as a fault would. The next sequence starts another thread. */
  async endThread(): Promise<void> {
    await this.#thread?.terminate();
  }

  #open(id: number, spec: GrammarSpec, promptIds: Int32Array): Binding {
    const slot = this.#spare.pop() ?? MaskSlot.ofSize(this.#data);
    slot.reset();
    const grammar = new ThreadGrammar(slot, (tokenId, numTokens) =>
      this.#post({ type: "read", id, tokenId, numTokens }),
    );
    const binding: Binding = { grammar, isReady: false, error: null };
    this.#bindings.set(id, binding);
    if (this.#thread === null) this.#start();
    this.#post({ type: "bind", id, spec, memory: slot.memory, promptIds });
    return binding;
  }

  #start(): void {
    const thread = new Worker(ENTRY, { workerData: this.#data });
    thread.unref();
    thread.on("message", ({ id, error }: GrammarReply) => {
      const binding = this.#bindings.get(id);
      if (binding === undefined || this.#isClosed) return;
      binding.isReady = error === null;
      binding.error = error && fromWire(error);
      this.#onReady();
    });
    thread.on("error", (error) => {
      // Without sequences nothing has failed. The next sequence starts another thread, and reports an error if that
      // thread fails.
      if (!this.#isClosed && this.#bindings.size > 0) console.error(error);
    });
    thread.on("exit", () => this.#noteExit(thread));
    this.#thread = thread;
  }

  #noteExit(thread: Worker): void {
    if (this.#isClosed || this.#thread !== thread) return;
    this.#thread = null;
    for (const binding of this.#bindings.values()) {
      binding.error = new AppError("internal_error", "internal: the thread that runs grammars has ended");
      binding.grammar.fail(binding.error);
    }
    this.#onReady();
  }

  #post(order: GrammarOrder): void {
    this.#thread?.postMessage(order);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.endThread();
  }
}

class ThreadGrammar implements BoundGrammar {
  readonly slot: MaskSlot;
  readonly #post: (tokenId: number, numTokens: number) => void;
  #numTokens = 0;
  #failure: AppError | null = null;

  constructor(slot: MaskSlot, post: (tokenId: number, numTokens: number) => void) {
    this.slot = slot;
    this.#post = post;
  }

  fail(error: AppError): void {
    this.#failure = error;
  }

  read(tokenId: number): void {
    this.#numTokens++;
    this.#post(tokenId, this.#numTokens);
  }

  mustEnd(maxWaitMs: number): boolean {
    return this.#failure === null && this.slot.waitForFlags(this.#numTokens, maxWaitMs) && this.slot.mustEnd;
  }

  mask(maxWaitMs: number): TokenMask | null {
    if (this.#failure !== null) throw this.#failure;
    if (!this.slot.waitForMask(this.#numTokens, maxWaitMs)) return null;
    this.#assertRunnable();
    return this.slot.next();
  }

  draft(maxWaitMs: number): readonly number[] | null {
    if (this.#failure !== null) return []; // the next mask reports it
    return this.slot.waitForFlags(this.#numTokens, maxWaitMs) ? this.slot.draft() : null;
  }

  placesAfter(numDrafted: number, maxWaitMs: number): readonly AnswerPlace[] | null {
    if (this.#failure !== null) throw this.#failure;
    if (this.slot.waitForFollowing(this.#numTokens, maxWaitMs)) return this.slot.copyPlaces(numDrafted);
    if (this.slot.waitForMask(this.#numTokens, 0)) this.#assertRunnable();
    return null;
  }

  #assertRunnable(): void {
    if (!this.slot.hasFailed) return;
    throw new AppError(
      "invalid_request",
      "The grammar is too ambiguous, too deeply nested or too slow at this place of the answer. Make it simpler.",
    );
  }
}
