/** JSON as Python reads it: what JavaScript loses is kept, everything else is what JSON.parse says. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mapJsonStrings, parseExactJson } from "../../../src/tokenizer/chat/exact-json.ts";
import { renderJinja } from "../../../src/jinja/jinja.ts";

const shown = (json: string): string =>
  renderJinja("{{ x | tojson }}", { x: structuredClone(parseExactJson(`{"v":${json}}`)) });

describe("parseExactJson", () => {
  it.each([
    ["1.0", "1.0"],
    ["-0.0", "-0.0"],
    ["-0", "0"],
    ["1e3", "1000.0"],
    ["1E+20", "1e+20"],
    ["1e-7", "1e-07"],
    ["0.5", "0.5"],
    ["12345678901234567890", "12345678901234567890"],
    ["9007199254740993", "9007199254740993"],
    ['{"b": 1, "10": 2, "2": {"1": 1.0}, "x": "1.0"}', '{"b": 1, "10": 2, "2": {"1": 1.0}, "x": "1.0"}'],
    ['["1.0 \\" 2.0", "\\\\", 3.0, "10"]', '["1.0 \\" 2.0", "\\\\", 3.0, "10"]'],
    ['{"__proto__": 1.0}', '{"__proto__": 1.0}'],
  ])("keeps %s, also through a message to a worker", (json, expected) => {
    expect(shown(json)).toBe(`{"v": ${expected}}`);
  });

  it("is JSON.parse where nothing is lost", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const value: unknown = JSON.parse(text);
        const back: unknown = JSON.parse(
          JSON.stringify(parseExactJson(text), (_, item: unknown) => {
            if (typeof item === "bigint") return Number(item);
            return item instanceof Map ? Object.fromEntries(item as Map<string, unknown>) : item;
          }),
        );
        expect(back).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("refuses what JSON.parse refuses", () => {
    expect(() => parseExactJson('{"a": 1.0')).toThrow(SyntaxError);
    expect(() => parseExactJson("01.0")).toThrow(SyntaxError);
  });

  it("reads a megabyte of quotes, escapes and numbers in one pass", () => {
    const text = JSON.stringify({ a: '\\"1.0'.repeat(200_000), b: Array.from({ length: 100_000 }, (_, i) => i + 0.5) });
    const startedAt = performance.now();
    parseExactJson(text.replace("0.5", "1.0"));
    expect(performance.now() - startedAt).toBeLessThan(20_000); // a quadratic reader takes minutes
  });
});

describe("mapJsonStrings", () => {
  it("maps values and keys, and says where they are", () => {
    const value = parseExactJson('{"a": ["x", {"b": "y"}], "m": {"1": "z", "n": 1.0}}');
    const paths: string[] = [];
    const mapped = mapJsonStrings(value, (text, path) => {
      paths.push(`${path.join("/")}:${text}`);
      return text.toUpperCase();
    });
    expect(mapped).toEqual({
      A: ["X", { B: "Y" }],
      M: new Map<string, unknown>([
        ["1", "Z"],
        ["N", new Number(1)],
      ]),
    });
    expect(paths).toContain("a/1/b:y");
  });
});
