import { describe, expect, it } from "vitest";
import { isMet, markdownTable, median, quantile, ratio } from "../../load-tests/report.ts";
import { measureInTurns } from "../../load-tests/rounds.ts";

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
