/** The grammar thread itself, on the tokenizer of the demo: binding, masks, failures, and a thread that ends. */
import { afterEach, describe, expect, it } from "vitest";
import type { BoundGrammar } from "../../../src/engine/contracts.ts";
import type * as ThreadModule from "../../../src/engine/grammar/thread-grammars.ts";
import type { GrammarSpec } from "../../../src/grammar/grammar-spec.ts";
import { loadTokenizer } from "../../../src/tokenizer/tokenizer.ts";
import { packageRoot } from "../../../src/cli/shared/package-root.ts";

// The built code, because the thread runs JavaScript.
const built = new URL("../../../dist/src/engine/grammar/thread-grammars.js", import.meta.url).href;
const { ThreadGrammars } = (await import(built)) as typeof ThreadModule;

const DEMO = `${packageRoot()}/models/demo`;
const tokenizer = await loadTokenizer(DEMO);

let grammars: ThreadModule.ThreadGrammars | null = null;
afterEach(async () => {
  await grammars?.[Symbol.asyncDispose]();
  grammars = null;
});

function start(tokenizerDir = DEMO): ThreadModule.ThreadGrammars {
  grammars = new ThreadGrammars({ tokenizerDir, vocabSize: tokenizer.vocabSize, maxDraft: 4 });
  return grammars;
}

async function bound(all: ThreadModule.ThreadGrammars, id: number, spec: GrammarSpec): Promise<BoundGrammar> {
  for (;;) {
    const ready = new Promise<void>((resolve) => all.onReady(resolve));
    const grammar = all.bind(id, spec, PROMPT);
    if (grammar !== null) return grammar;
    await ready;
  }
}

const allowed = (grammar: BoundGrammar): string[] => {
  const mask = grammar.mask(10_000);
  if (mask === null) throw new Error("no mask came");
  const ids = Array.from({ length: tokenizer.vocabSize }, (_, id) => id);
  return ids.filter((id) => (mask.words[id >> 5]! & (1 << (id & 31))) !== 0).map((id) => tokenizer.idToToken(id) ?? "");
};

/** A draft repeats it where the grammar allows that. */
const PROMPT = Int32Array.from(["k", "e", "t", "t", "l", "e"], (token) => tokenizer.tokenToId(token) ?? -1);

const choices = (...texts: string[]): GrammarSpec => ({ kind: "choice", text: JSON.stringify(texts) });

describe("the grammar thread", () => {
  it("follows an answer token by token, and says where it ends", async () => {
    const grammar = await bound(start(), 1, choices("kettle", "key"));
    expect(allowed(grammar)).toContain("k");
    for (const token of ["k", "e"]) grammar.read(tokenizer.tokenToId(token) ?? -1);
    expect(allowed(grammar).every((token) => "ttley".includes(token[0] ?? "?"))).toBe(true);
    expect(grammar.mustEnd(10_000)).toBe(false);
    grammar.read(tokenizer.tokenToId("y") ?? -1);
    expect(grammar.mustEnd(10_000)).toBe(true);
    expect([allowed(grammar), grammar.mask(0)?.mayEnd]).toEqual([[], true]);
  });

  it("leaves the tokens that the grammar forces, with what may come after each", async () => {
    const grammar = await bound(start(), 1, choices("kettle"));
    const forced = grammar.draft(10_000) ?? [];
    expect(forced.length).toBeGreaterThan(0);
    const places = grammar.placesAfter(forced.length, 10_000) ?? [];
    const step = await bound(start(), 1, choices("kettle"));
    for (const [at, place] of places.entries()) {
      expect([place.words, place.mustEnd]).toEqual([step.mask(10_000)?.words.slice(), step.mustEnd(10_000)]);
      if (at < forced.length) step.read(forced[at] ?? -1);
    }
    expect(places).toHaveLength(forced.length + 1);
  });

  it("drafts what followed in the prompt, as far as the grammar allows it", async () => {
    const grammar = await bound(start(), 1, { kind: "regex", text: "[ketl]{2,5}" });
    for (const id of PROMPT.subarray(0, 2)) grammar.read(id);
    expect(grammar.draft(10_000)).toEqual([...PROMPT.subarray(2, 5)]);
    expect(grammar.placesAfter(3, 10_000)?.map(({ mustEnd }) => mustEnd)).toEqual([false, false, false, true]);
  });

  it("keeps sequences apart, and reuses the memory of those that ended", async () => {
    const all = start();
    const first = await bound(all, 1, choices("aa"));
    const second = await bound(all, 2, choices("bb"));
    first.read(tokenizer.tokenToId("a") ?? -1);
    expect([allowed(first), allowed(second)]).toEqual([["a"], expect.arrayContaining(["b"])]);
    all.release(1);
    const third = await bound(all, 3, choices("c"));
    expect([allowed(third), allowed(second)]).toEqual([["c"], expect.arrayContaining(["b"])]);
  });

  it("reports a grammar that cannot be compiled to its own sequence", async () => {
    const all = start();
    await expect(bound(all, 1, { kind: "gbnf", text: "root ::= missing" })).rejects.toThrow("missing");
    expect(allowed(await bound(all, 2, choices("a")))).toEqual(["a"]);
  });

  it("reports a model without a tokenizer to the sequences that need it", async () => {
    await expect(bound(start("/nowhere"), 1, choices("a"))).rejects.toThrow("tokenizer.json");
  });

  it("fails an answer whose token the grammar does not allow", async () => {
    const grammar = await bound(start(), 1, choices("a"));
    grammar.read(tokenizer.tokenToId("b") ?? -1);
    expect(() => grammar.mask(10_000)).toThrow("grammar");
  });

  it("a thread that ends takes its sequences with it, and the next one starts another", async () => {
    const all = start();
    const grammar = await bound(all, 1, choices("a"));
    const ended = new Promise<void>((resolve) => all.onReady(resolve));
    await all.endThread();
    await ended;
    expect(() => grammar.mask(0)).toThrow("the thread that runs grammars has ended");
    expect(grammar.draft(0)).toEqual([]);
    expect(() => grammar.placesAfter(1, 0)).toThrow("the thread that runs grammars has ended");
    expect(() => all.bind(1, choices("a"), PROMPT)).toThrow("has ended");
    expect(allowed(await bound(all, 2, choices("b")))).toEqual(["b"]);
  });
});
