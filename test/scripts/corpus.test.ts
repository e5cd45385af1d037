/**
 * The demo's corpus: the same from the same seed, nothing held out in training, every answer right by what was asked.
 */
import { describe, expect, it } from "vitest";
import { corpusLines, PART_NAMES } from "../../scripts/corpus/corpus.ts";
import { Draw, isHeldOut, SEAM, withoutSeams } from "../../scripts/corpus/draw.ts";
import { problem, resultOf, stepsOf } from "../../scripts/corpus/sums.ts";
import { inquiry } from "../../scripts/corpus/support.ts";
import { answerOf, inquiryJson, VOICES } from "../../scripts/corpus/voices.ts";
import { code, name, names, number, thing } from "../../scripts/corpus/words.ts";
import { ADAPTERS } from "../../scripts/demo/adapters.ts";
import { exampleLines } from "../../scripts/demo/make-adapter.ts";
import { countSlots, slotsOf } from "../../scripts/demo/slots.ts";

/** Made-up names of a text: they alone have seams. */
const namesIn = (text: string): string[] => text.match(new RegExp(`\\p{Lu}\\p{Ll}+(?:${SEAM}\\p{Ll}+)+`, "gu")) ?? [];

describe("the corpus", () => {
  it("is the same from the same seed, and another from another", () => {
    const lines = (seed: number) => [...corpusLines(50, seed, "training")];
    expect(lines(1)).toEqual(lines(1));
    expect(lines(1)).not.toEqual(lines(2));
    expect([...corpusLines(20, 1, "training")]).toEqual(lines(1).slice(0, 20));
  });

  it.each(PART_NAMES)("keeps held-out names out of training: %s", (part) => {
    const names = (split: "training" | "held-out") => [...corpusLines(300, 3, split, part)].flatMap(namesIn);
    const training = names("training").map(withoutSeams);
    const heldOut = names("held-out").map(withoutSeams);
    expect(heldOut.every(isHeldOut)).toBe(true);
    expect(training.some(isHeldOut)).toBe(false);
    expect(training.length + heldOut.length).toBeGreaterThan(100);
  });

  it("splits numbers, codes and things like names", () => {
    for (const split of ["training", "held-out"] as const) {
      const draw = new Draw(5, split);
      for (let i = 0; i < 200; i++)
        for (const value of [name(draw), number(draw, 4, 6), code(draw), thing(draw)])
          expect(isHeldOut(value), value).toBe(split === "held-out");
    }
  });

  it("gives every part its share", () => {
    const lines = [...corpusLines(3000, 7, "training")];
    const copying = lines.filter((line) =>
      /Repeat: |Say this again: |Copy: |Fill in: |What goes with |Look up /.test(line),
    );
    expect(copying.length / lines.length).toBeGreaterThan(0.2);
    expect(lines.filter((line) => line.startsWith('{"prompt"')).length / lines.length).toBeCloseTo(0.15, 1);
  });
});

describe("practice", () => {
  const lines = [...corpusLines(600, 8, "training", "practice")];
  const talks = lines.flatMap((line) => {
    const { messages } = JSON.parse(withoutSeams(line)) as { messages?: { role: string; content: string }[] };
    return messages === undefined ? [] : [messages];
  });

  it("asks several questions about one text", () => {
    const long = talks.filter((messages) => messages.filter(({ role }) => role === "user").length > 2);
    expect(long.length / lines.length).toBeGreaterThan(0.25);
  });

  it("has every looked-up answer in the text above it", () => {
    const lookedUp = talks.filter((messages) => messages.some(({ content }) => /Look up|goes with/.test(content)));
    expect(lookedUp.length).toBeGreaterThan(50);
    for (const [first, ...rest] of lookedUp)
      for (const { role, content } of rest) if (role === "assistant") expect(first?.content).toContain(content);
  });

  it("holds names of training alone", () => {
    expect(lines.flatMap(namesIn).map(withoutSeams).some(isHeldOut)).toBe(false);
  });
});

describe("copying", () => {
  const heldOut = new Draw(4, "held-out");
  const [who, other] = names(heldOut, 2).map(withoutSeams) as [string, string];
  const digits = number(heldOut, 5, 5);
  const request = `Send ${digits} to ${who} and ${other}.`;

  it("counts what is held out, and is in request and answer", () => {
    expect(slotsOf(request, `Dear ${who}: ${digits}, nowhere 99123.`).toSorted()).toEqual([who, digits].toSorted());
    const training = new Draw(4, "training");
    const seen = withoutSeams(name(training));
    expect(slotsOf(`For ${seen}.`, seen)).toEqual([]);
  });

  it("counts as copied what the given answer holds as a whole word", () => {
    const expected = `${who}, ${other}: ${digits}`;
    const count = (given: string) => countSlots([{ request, expected, given }]);
    expect(count(expected)).toEqual({ copied: 3, count: 3 });
    expect(count(`${who}x and ${digits}`)).toEqual({ copied: 1, count: 3 });
  });
});

describe("an answer", () => {
  it("is another in every voice, and names what was asked for", () => {
    const draw = new Draw(9, "held-out");
    for (let i = 0; i < 300; i++) {
      const asked = inquiry(draw);
      const answers = VOICES.map((voice) => answerOf(voice, asked));
      expect(new Set(answers).size).toBe(VOICES.length);
      if (asked.kind === "hours") continue;
      for (const answer of answers) {
        if (asked.order !== null) expect(answer).toContain(asked.order);
        if (asked.item !== null) expect(answer).toContain(asked.item);
      }
    }
  });

  it("in JSON can be read, and says what was said", () => {
    const draw = new Draw(10, "training");
    for (let i = 0; i < 200; i++) {
      const asked = inquiry(draw);
      const read = JSON.parse(withoutSeams(inquiryJson(asked))) as Record<string, unknown>;
      expect(read.kind).toBe(asked.kind);
      expect(read.name).toBe(asked.name === null ? null : withoutSeams(asked.name));
    }
  });

  it("of a sum follows from its steps", () => {
    const draw = new Draw(11, "held-out");
    for (let i = 0; i < 300; i++) {
      const made = problem(draw, 2);
      const steps = [...stepsOf(made).matchAll(/(\d+) ([+-]) (\d+) = (\d+)\./g)];
      expect(steps).toHaveLength(2);
      for (const [, a, sign, b, c] of steps) expect(Number(a) + (sign === "+" ? 1 : -1) * Number(b)).toBe(Number(c));
      expect(Number(steps.at(-1)?.[4])).toBe(resultOf(made));
    }
  });
});

it("no adapter is measured on a request that it was trained on", () => {
  for (const adapter of ADAPTERS) {
    const requests = (seed: number, split: "training" | "held-out") =>
      exampleLines(adapter, 400, seed, split).trim().split("\n");
    const training = new Set(requests(20, "training"));
    const heldOut = requests(22, "held-out");
    const seen = heldOut.filter((line) => training.has(line)).length / heldOut.length;
    // A tenant's fixed questions come again by nature.
    expect(seen, adapter.name).toBeLessThan(0.35);
  }
});
