/**
 * The thread of an engine process that runs grammars. It reads each generated token while the model computes the next
 * step, and leaves the mask of the token after it in shared memory. Compiled grammars are kept by their specification.
 * `thread-grammars.ts` starts it.
 */
import { parentPort, workerData } from "node:worker_threads";
import { LRUCache } from "lru-cache";
import { AppError, toWire } from "../../errors.ts";
import { Automaton } from "../../grammar/automaton/automaton.ts";
import { Matcher, type Vocabulary } from "../../grammar/automaton/matcher.ts";
import { buildNetwork } from "../../grammar/automaton/network.ts";
import { spellSpecial } from "../../grammar/automaton/special-tokens.ts";
import { buildTrie, packTokens } from "../../grammar/automaton/token-trie.ts";
import type { GrammarSpec } from "../../grammar/grammar-spec.ts";
import { readGrammar } from "../../grammar/read-grammar.ts";
import { PromptLookup } from "../prompt-lookup.ts";
import { readTokenBytes } from "../../tokenizer/token-bytes.ts";
import type { GrammarOrder, GrammarReply, GrammarThreadData } from "./grammar-messages.ts";
import { type EndFlags, MaskSlot } from "./mask-slot.ts";

/** Compiled grammars that are kept. */
const MAX_KEPT = 32;

interface Bound {
  readonly matcher: Matcher;
  readonly slot: MaskSlot;
  /** null: nothing is drafted. */
  readonly lookup: PromptLookup | null;
}

const port = parentPort;
if (port === null) throw new Error("internal: this file is a worker thread");
const { tokenizerDir, vocabSize, maxDraft } = workerData as GrammarThreadData;

const vocabulary = readVocabulary().then(
  (value) => ({ value }),
  (error: unknown) => ({ error }),
);
const automata = new LRUCache<string, Automaton>({ max: MAX_KEPT });
const bound = new Map<number, Bound>();
let orders = Promise.resolve();

port.on("message", (order: GrammarOrder) => {
  // Orders wait for the vocabulary, in their order.
  orders = orders.then(() => obey(order));
});

async function obey(order: GrammarOrder): Promise<void> {
  if (order.type === "bind") return bind(order);
  if (order.type === "release") return void bound.delete(order.id);
  const one = bound.get(order.id);
  if (one === undefined) return;
  const isAllowed = one.matcher.accept(order.tokenId);
  one.lookup?.read(order.tokenId);
  if (isAllowed) publish(one, order.numTokens);
  else one.slot.writeFailure(order.numTokens); // an end token: no mask is needed after it
}

async function bind({ id, spec, memory, promptIds }: Extract<GrammarOrder, { type: "bind" }>): Promise<void> {
  let reply: GrammarReply = { id, error: null };
  try {
    const read = await vocabulary;
    if ("error" in read) throw read.error;
    const one = {
      matcher: new Matcher(compiled(spec, read.value), read.value),
      slot: new MaskSlot(memory, { vocabSize, maxDraft }),
      lookup: maxDraft > 0 ? new PromptLookup(promptIds) : null,
    };
    bound.set(id, one);
    publish(one, 0);
  } catch (error) {
    reply = { id, error: toWire(error) };
  }
  port?.postMessage(reply);
}

/**
 * Writes the flags and the draft first. A complete answer can then end, and a run with the draft can begin, before
 * masks are computed.
 */
function publish({ matcher, slot, lookup }: Bound, numTokens: number): void {
  try {
    const draft = lookup === null ? [] : draftOf(matcher, lookup);
    slot.writeFlags(numTokens, endFlagsOf(matcher), draft);
    slot.writeMask(numTokens, matcher.mask());
    if (draft.length === 0) return;
    const follower = matcher.lookAhead();
    for (const [at, tokenId] of draft.entries()) {
      if (!follower.accept(tokenId)) throw new Error(`internal: the grammar allowed token ${tokenId}, but refuses it`);
      slot.writeFollowing(at, follower.mask(), endFlagsOf(follower));
    }
    slot.finishFollowing(numTokens);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    slot.writeFailure(numTokens);
  }
}

/** The tokens that the grammar forces, and after them those that follow in earlier text, as far as they are allowed. */
function draftOf(matcher: Matcher, lookup: PromptLookup): readonly number[] {
  const draft = [...matcher.forcedTokens(maxDraft)];
  const follower = matcher.lookAhead();
  for (const tokenId of draft)
    if (!follower.accept(tokenId)) throw new Error(`internal: the grammar forces token ${tokenId}, but refuses it`);
  for (const tokenId of lookup.draft(maxDraft - draft.length, draft).ids) {
    if (!follower.accept(tokenId)) break;
    draft.push(tokenId);
  }
  return draft;
}

function endFlagsOf({ isAccepting, isComplete }: Matcher): EndFlags {
  return { mayEnd: isAccepting, mustEnd: isComplete };
}

function compiled(spec: GrammarSpec, { specials }: Vocabulary): Automaton {
  const key = JSON.stringify([spec.kind, spec.text, spec.whitespace ?? null]);
  let automaton = automata.get(key);
  if (automaton === undefined) {
    automaton = new Automaton(buildNetwork(readGrammar(spec), specials));
    automata.set(key, automaton);
  }
  return automaton;
}

async function readVocabulary(): Promise<Vocabulary> {
  const { tokens, specials, numSkippedSpaces } = await readTokenBytes(tokenizerDir);
  const spelled = Array.from({ length: vocabSize }, (_, id) => {
    const special = specials.get(id);
    return special === undefined ? (tokens[id] ?? null) : Uint8Array.from(spellSpecial(special));
  });
  const made = {
    bytesOf: packTokens(spelled),
    trie: buildTrie(spelled),
    specials: [...specials.values()],
    numSkippedSpaces,
  };
  // The first masks of a process are slow, because the code is cold. They are computed before any sequence waits for
  // them.
  new Matcher(compiled({ kind: "json-object", text: "" }, made), made).mask();
  return made;
}
