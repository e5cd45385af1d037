/** Stop strings against a naive search over the whole text. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { StopStrings } from "../../src/tokenizer/stop-strings.ts";

/** Grows the text one unit at a time and stops at the first end of a stop string beyond the guarded units. */
function naive(text: string, stops: readonly string[], numGuarded = 0): { text: string; stop: string | undefined } {
  for (let end = numGuarded + 1; end <= text.length; end++) {
    const head = text.slice(0, end);
    const found = stops.filter((stop) => stop !== "" && head.endsWith(stop)).sort((a, b) => b.length - a.length)[0];
    if (found !== undefined) return { text: head.slice(0, head.length - found.length), stop: found };
  }
  return { text, stop: undefined };
}

function run(
  deltas: readonly string[],
  stops: readonly string[],
  numGuarded = 0,
): { text: string; stop: string | undefined; held: number } {
  const watcher = new StopStrings(stops);
  let text = "";
  for (const [i, delta] of deltas.entries()) {
    const result = watcher.push(delta, i >= numGuarded);
    text += result.text;
    if (result.stop !== undefined) return { text, stop: result.stop, held: 0 };
  }
  const held = watcher.flush();
  return { text: text + held, stop: undefined, held: held.length };
}

describe("StopStrings", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 12 });
  const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 4 }), { maxLength: 3 });

  it("cuts where a search character by character would have stopped, however the text is split", () => {
    fc.assert(
      fc.property(fc.array(text), stops, (deltas, list) => {
        const { text: actual, stop } = run(deltas, list);
        expect({ text: actual, stop }).toEqual(naive(deltas.join(""), list));
      }),
      { numRuns: 2000 },
    );
  });

  it("holds back only what could still become a stop string", () => {
    fc.assert(
      fc.property(fc.array(text), stops, (deltas, list) => {
        const result = run(deltas, list);
        const whole = deltas.join("");
        const tail = whole.slice(whole.length - result.held);
        expect(tail === "" || list.some((stop) => stop.startsWith(tail))).toBe(true);
      }),
    );
  });

  it("lets no stop string end within deltas that may not stop, but one that only begins there", () => {
    fc.assert(
      fc.property(fc.array(text), stops, fc.nat(6), (deltas, list, numGuarded) => {
        const { text: actual, stop } = run(deltas, list, numGuarded);
        const guarded = deltas.slice(0, numGuarded).join("").length;
        expect({ text: actual, stop }).toEqual(naive(deltas.join(""), list, guarded));
      }),
      { numRuns: 2000 },
    );
  });

  it("sends everything at once when there is nothing to stop at", () => {
    expect(new StopStrings(["", ""]).push("abc")).toEqual({ text: "abc", stop: undefined });
  });

  it("gives nothing after the stop", () => {
    const watcher = new StopStrings(["END"]);
    expect(watcher.push("one EN")).toEqual({ text: "one ", stop: undefined });
    expect(watcher.push("D two")).toEqual({ text: "", stop: "END" });
    expect(watcher.push("three")).toEqual({ text: "", stop: undefined });
    expect(watcher.flush()).toBe("");
  });
});
