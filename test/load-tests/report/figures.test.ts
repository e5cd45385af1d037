import { describe, expect, it } from "vitest";
import { chart } from "../../../load-tests/report/chart.ts";
import { PROMISES, summaryTable } from "../../../load-tests/report/goals.ts";
import { type Figure, isMet, markdownTable, median, quantile, ratio } from "../../../load-tests/report/figures.ts";
import { measureInTurns } from "../../../load-tests/rounds.ts";

describe("samples", () => {
  it("have the middle one, or the mean of two, as their median", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([])).toBeNaN();
  });

  it("have as their quantile the smallest that so many do not exceed", () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect([quantile(values, 0.5), quantile(values, 0.99), quantile(values, 1)]).toEqual([50, 99, 100]);
  });

  it("are divided round by round", () => {
    expect(ratio("a ÷ b", [2, 9], [1, 3])).toEqual({ what: "a ÷ b", unit: "×", samples: [2, 3] });
  });
});

describe("a table", () => {
  const figure = ratio("a ÷ b", [2, 4, 3], [1, 1, 1], { atLeast: 3 });

  it("shows median, range, goal and whether it is met", () => {
    const [, , row] = markdownTable([{ scenario: "s", figures: [figure] }]).split("\n");
    expect(row).toBe("| s | a ÷ b | 3.00 | 2.00–4.00 | × | ≥ 3 | yes |");
  });

  it("judges by the median", () => {
    expect(isMet(figure)).toBe(true);
    expect(isMet({ ...figure, goal: { atMost: 2.9 } })).toBe(false);
    expect(isMet({ what: "", unit: "", samples: [1] })).toBeNull();
  });
});

describe("a goal with two bounds", () => {
  const merged = (value: number) => ratio("a ÷ b", [value], [1], { atLeast: 0.98, atMost: 1.02 }, "merged");

  it("is met between them", () => {
    expect([0.97, 0.98, 1, 1.02, 1.03].map((value) => isMet(merged(value)))).toEqual([false, true, true, true, false]);
  });

  it("is shown in the summary beside the rows that nothing was measured for", () => {
    const lines = summaryTable([{ scenario: "s", figures: [merged(0.99)] }]).split("\n");
    expect(lines).toContain("| merged ÷ bare base | 1.00 ± 0.02 | a ÷ b | 0.990 |  | × | 0.98–1.02 | yes |");
    expect(lines.filter((line) => line.includes("not measured"))).toHaveLength(PROMISES.length - 1);
  });
});

describe("the chart", () => {
  const svgOf = (figure: Figure): string => chart([{ scenario: "s<", figures: [figure] }], "where & how");
  const centre = (figure: Figure): number => Number(/<circle cx="(\d+)"/.exec(svgOf(figure))?.[1]);
  const goal = Number(/<line x1="(\d+)"[^>]*#334155/.exec(svgOf(ratio("x", [1], [1], { atLeast: 1 })))?.[1]);

  it("puts the better side of every goal to the right of it", () => {
    expect(centre(ratio("x", [2], [1], { atLeast: 1 }))).toBeGreaterThan(goal);
    expect(centre(ratio("x", [2], [1], { atMost: 3 }))).toBeGreaterThan(goal);
    expect(centre(ratio("x", [2], [1], { atMost: 1 }))).toBeLessThan(goal);
    expect(centre(ratio("x", [2], [1], { atLeast: 2 }))).toBe(goal);
    expect(centre(ratio("x", [NaN], [1], { atLeast: 2 }))).toBeLessThan(goal);
  });

  it("is whole markup, whatever the names, and leaves out what has no goal", () => {
    const svg = svgOf({ what: 'a & b "c"', unit: "ms", samples: [1], goal: { atMost: 2 } });
    expect(svg).not.toMatch(/&(?!#\d+;)/);
    expect(svg).not.toContain("s<");
    expect(svgOf({ what: "x", unit: "ms", samples: [1] })).not.toContain("circle");
  });
});

describe("rounds", () => {
  it("measure forth and back, and do not count the first", async () => {
    const order: string[] = [];
    const variant = (name: string) => ({ name, measure: async () => order.push(name) });
    const samplesOf = await measureInTurns([variant("a"), variant("b")], 2);
    expect(order).toEqual(["b", "a", "a", "b", "b", "a"]);
    expect([samplesOf("a"), samplesOf("b")]).toEqual([
      [3, 6],
      [4, 5],
    ]);
  });
});
