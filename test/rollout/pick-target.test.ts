import { describe, expect, it } from "vitest";
import { pickTarget } from "../../src/rollout/pick-target.ts";
import type { AliasTarget } from "../../src/store/aliases/alias-record.ts";

const USERS = Array.from({ length: 20_000 }, (_, i) => `user:${i}`);
const aliasOf = (weights: Readonly<Record<string, number>>, name = "live") => ({
  tenant: "acme",
  name,
  targets: Object.entries(weights).map(([target, weight]): AliasTarget => ({ name: target, generation: null, weight })),
});
const picks = (weights: Readonly<Record<string, number>>, name?: string): string[] =>
  USERS.map((user) => pickTarget(aliasOf(weights, name), user).name);

describe("a pick among targets", () => {
  it.each([[{ stable: 95, next: 5 }], [{ stable: 0.95, next: 0.05 }], [{ a: 1, b: 2, c: 3, d: 0 }]])(
    "has the shares of the weights %j, within four standard deviations",
    (weights) => {
      const found = picks(weights);
      const sum = Object.values(weights).reduce((a, b) => a + b, 0);
      for (const [name, weight] of Object.entries(weights)) {
        const share = weight / sum;
        const deviation = Math.sqrt(USERS.length * share * (1 - share));
        const number = found.filter((one) => one === name).length;
        expect(Math.abs(number - USERS.length * share), name).toBeLessThanOrEqual(4 * deviation);
      }
    },
  );

  it("does not depend on the order of the targets, and changes only towards a target whose weight rose", () => {
    const before = picks({ stable: 95, next: 5 });
    expect(picks({ next: 5, stable: 95 })).toEqual(before);
    const after = picks({ stable: 95, next: 10, third: 5 });
    for (const [i, name] of after.entries()) if (name !== before[i]) expect(["next", "third"]).toContain(name);
  });

  it("is another one for the same users of another alias", () => {
    const [one, other] = [picks({ a: 1, b: 1 }), picks({ a: 1, b: 1 }, "other")];
    const equal = one.filter((name, i) => name === other[i]).length;
    expect(Math.abs(equal - USERS.length / 2)).toBeLessThan(4 * Math.sqrt(USERS.length / 4));
  });
});
