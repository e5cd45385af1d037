/** Expected texts: RFC 8785, sections 3.2.2 and 3.2.3. */
import { expect, it } from "vitest";
import { canonicalJson } from "../../src/formats/canonical-json.ts";

it("writes the example of RFC 8785", () => {
  const input = String.raw`{
    "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
    "literals": [null, true, false]
  }`;
  const expected = String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`;
  expect(canonicalJson(JSON.parse(input))).toBe(expected);
});

it("sorts keys by UTF-16 code units, and leaves out undefined ones", () => {
  const value = {
    "\u20ac": 1,
    "\r": 2,
    "\ufb33": 3,
    "1": 4,
    "\u{1f600}": 5,
    "\u0080": 6,
    "\u00f6": 7,
    gone: undefined,
  };
  const keys = [...canonicalJson(value).matchAll(/:(\d)/g)].map(([, digit]) => Number(digit));
  expect(keys).toEqual([2, 4, 6, 7, 1, 5, 3]);
});
