/** Keys that an object of a JSON text repeats, wherever quotes, escapes and nesting would hide them. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { repeatedKey } from "../../src/formats/repeated-key.ts";

it.each([
  ['{"a": 1, "b": {"a": 2}, "c": ["a", "a"]}', undefined],
  ['{"a": 1, "b": 2, "a" : 3}', "a"],
  ['{"a\\"b": 1, "c": "a\\"b", "a\\u0022b": 3}', 'a"b'],
  ['{"x": "\\\\", "y": {"x": 1}}', undefined],
  ['{"a": [{"b": 1}, {"b": 2}], "b": {"c": [], "d": "c"}}', undefined],
  ['{"a": [{"b": 1}, {"b": 2, "c": [{}], "b": 3}]}', "b"],
  ["{}", undefined],
])("%s repeats %s", (text, key) => {
  expect(repeatedKey(text)).toBe(key);
});

it("finds none in what JSON.stringify writes, and the one that is added", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), (object, key) => {
      const text = JSON.stringify({ ...object, [key]: 1 });
      expect(repeatedKey(text)).toBeUndefined();
      expect(repeatedKey(`${text.slice(0, -1)},${JSON.stringify(key)}:2}`)).toBe(key);
    }),
  );
});
