import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Dim, broadcast, formatShape, product, quotient, sameDim, sameShape } from "../../src/graph/shape.ts";

const dim: fc.Arbitrary<Dim> = fc.oneof(
  fc.integer({ min: 1, max: 12 }),
  fc.constantFrom("B", "T", "N", "B*T", "2*B", "3*T*B"),
);
const shape = fc.array(dim, { maxLength: 4 });

describe("product", () => {
  it("multiplies numbers and puts names in order behind them", () => {
    expect(product(["T", 2, "B", 3])).toBe("6*B*T");
    expect(product(["B"])).toBe("B");
    expect(product([2, 5])).toBe(10);
    expect(product([])).toBe(1);
  });

  it("is 0 as soon as one dimension is", () => expect(product(["B", 0, 4])).toBe(0));

  it("does not care about order or grouping", () => {
    fc.assert(
      fc.property(fc.array(dim, { maxLength: 6 }), fc.nat(6), (dims, at) => {
        const grouped = product([product(dims.slice(0, at)), product(dims.slice(at))]);
        expect(grouped).toBe(product([...dims].reverse()));
      }),
    );
  });
});

describe("quotient", () => {
  it("undoes a product", () => {
    fc.assert(
      fc.property(dim, dim, (a, b) => {
        const got = quotient(product([a, b]), b);
        expect(got !== null && sameDim(got, a)).toBe(true);
      }),
    );
  });

  it("is null where it does not come out even", () => {
    expect(quotient(7, 2)).toBeNull();
    expect(quotient("B", "T")).toBeNull();
    expect(quotient("2*B", "4*B")).toBeNull();
    expect(quotient("B", "B*B")).toBeNull();
    expect(quotient(4, 0)).toBeNull();
  });
});

describe("sameShape", () => {
  it("compares what dimensions mean, not how they are written", () => {
    expect(sameShape(["B*T", 4], ["T*B", 4])).toBe(true);
    expect(sameShape(["2*B"], ["B*2"])).toBe(true);
    expect(sameShape(["B"], ["T"])).toBe(false);
    expect(sameShape([1, 4], [4])).toBe(false);
  });
});

describe("broadcast", () => {
  it("follows numpy: aligned at the right, ones stretch", () => {
    expect(broadcast(["B", 1, 8], [4, 8])).toEqual(["B", 4, 8]);
    expect(broadcast([], ["B", 2])).toEqual(["B", 2]);
    expect(broadcast([3], [4])).toBeNull();
    expect(broadcast(["B"], ["T"])).toBeNull();
  });

  it("stretches what is given once or for every row", () => {
    expect(broadcast(["B*T", 8], ["1|B*T", 8])).toEqual(["B*T", 8]);
    expect(broadcast(["1|T*B", 8], ["B*T", 8])).toEqual(["B*T", 8]);
    expect(broadcast(["1|B*T"], ["1|B*T"])).toEqual(["1|B*T"]);
    expect(broadcast(["1|B"], ["T"])).toBeNull();
  });

  it("gives the same whichever side is first, and leaves a shape alone with itself", () => {
    fc.assert(
      fc.property(shape, shape, (a, b) => {
        const [one, other] = [broadcast(a, b), broadcast(b, a)];
        expect(one === null).toBe(other === null);
        if (one && other) expect(sameShape(one, other)).toBe(true);
        expect(broadcast(a, a)).toEqual(a);
      }),
    );
  });
});

it("writes shapes as people read them", () => expect(formatShape(["B", "T", 64])).toBe("[B,T,64]"));
