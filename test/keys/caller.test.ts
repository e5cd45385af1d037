import fc from "fast-check";
import { expect, it } from "vitest";
import { maySee } from "../../src/keys/caller.ts";

it("patterns of adapters match as the regular expression does in which * is .* and ? is .", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", ".", "-"), maxLength: 8 });
  const pattern = fc.string({ unit: fc.constantFrom("a", "b", ".", "-", "*", "?"), maxLength: 8 });
  fc.assert(
    fc.property(pattern, letters, (one, name) => {
      const source = one.replaceAll(".", "\\.").replaceAll("*", ".*").replaceAll("?", ".");
      expect(maySee({ adapters: [one] }, name)).toBe(new RegExp(`^${source}$`).test(name));
    }),
  );
  expect(maySee({ adapters: null }, "any")).toBe(true);
  expect(maySee({ adapters: ["a", "b*"] }, "bc")).toBe(true);
  expect(maySee({ adapters: ["*".repeat(128)] }, "x".repeat(128))).toBe(true); // at once, not after a lifetime
});
