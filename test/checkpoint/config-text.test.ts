import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { withDtype, withSettings, withoutSetting } from "../../src/checkpoint/config-text.ts";

const parsed = (text: string): unknown => JSON.parse(text);

describe("settings in a text", () => {
  it("change alone; every other number keeps its spelling", () => {
    const text = `{\n  "cap": 4.0, "torch_dtype": "bfloat16",\n  "rope": {"torch_dtype": 1.0, "theta": 1e6}\n}\n`;
    expect(withDtype(text, "float32")).toBe(
      `{\n  "cap": 4.0, "torch_dtype": "float32",\n  "rope": {"torch_dtype": 1.0, "theta": 1e6}\n}\n`,
    );
  });

  it("are added where they are missing", () => {
    expect(withDtype('{"cap": 4.0}', "float16")).toBe('{"cap": 4.0,\n  "dtype": "float16"\n}\n');
    expect(withDtype(" {} ", "float16")).toBe(' {\n  "dtype": "float16"\n}\n');
  });

  it("are removed, wherever they stand", () => {
    expect(withoutSetting('{"cap": 4.0, "q": {"q": [1, 2]}, "a": 1}', "q")).toBe('{"cap": 4.0, "a": 1}');
    const key = fc.oneof(fc.constantFrom("q", "a", "}", '"', ",", ":"), fc.string());
    fc.assert(
      fc.property(fc.dictionary(key, fc.jsonValue()), fc.constantFrom(0, 2), (object, indent) => {
        const { q: _, ...others } = object;
        expect(parsed(withoutSetting(JSON.stringify(object, null, indent), "q"))).toEqual(
          parsed(JSON.stringify(others)),
        );
      }),
    );
  });

  it("mean what a parser makes of them, whatever else the text holds", () => {
    const key = fc.oneof(fc.constantFrom("dtype", "a", "}", '"', ",", ":", "\\"), fc.string());
    const object = fc.dictionary(key, fc.jsonValue());
    fc.assert(
      fc.property(object, object, fc.constantFrom(0, 2), (before, settings, indent) => {
        const text = JSON.stringify(before, null, indent);
        expect(parsed(withSettings(text, settings))).toEqual(parsed(JSON.stringify({ ...before, ...settings })));
      }),
    );
  });
});
