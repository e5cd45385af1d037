import { describe, expect, it } from "vitest";
import { AppError, fromWire, quote, toWire } from "../src/errors.ts";

describe("errors on the wire", () => {
  it("come back with code, message and details after a structured clone", () => {
    const error = new AppError("overloaded", "The queue is full.", { retryAfterSeconds: 2, cause: new Error("inner") });
    const back = fromWire(structuredClone(toWire(error)));
    expect(back).toBeInstanceOf(AppError);
    expect(back).toMatchObject({
      code: "overloaded",
      message: "The queue is full.",
      details: { retryAfterSeconds: 2 },
    });
  });

  it("are internal_error when they are not ours, the message kept for the log", () => {
    expect(toWire(new TypeError("boom"))).toEqual({ code: "internal_error", message: "boom", details: {} });
    expect(toWire("text").message).toBe("text");
  });
});

describe("the message of an error", () => {
  it("keeps its beginning and its end, whatever a library has put between them", () => {
    const { message } = new AppError("data_invalid", `The file is not read: ${"x".repeat(1e6)}. Write another one.`);
    expect(message.length).toBeLessThanOrEqual(2000);
    expect(message).toMatch(/^The file is not read: x+ … \(\d+ characters left out\) … x+\. Write another one\.$/);
    expect(new AppError("data_invalid", message).message.length).toBeLessThanOrEqual(2000);
  });
});

describe("a quote of what came from outside", () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: [nested(depth - 1)] });

  it.each([
    ["a name", '"a name"'],
    ['"', '"\\""'],
    [["F32", 1, null, true], '["F32",1,null,true]'],
    [{ type: "Strip", start: 0 }, '{"type":"Strip","start":0}'],
    [undefined, "undefined"],
    [12n, "12"],
    [new Uint8Array(9), "binary"],
    [Array.from({ length: 20 }, (_, i) => i), "[0,1,2,3,4,5,6,7,…]"],
    [nested(3), '{"a":[{"a":[…]}]}'],
  ])("shows %o as %s", (value, text) => {
    expect(quote(value)).toBe(text);
  });

  it.each([["x".repeat(1e6)], [Array.from({ length: 8 }, () => "y".repeat(500))], [nested(3000)]])(
    "fits a message, whatever its size",
    (value) => {
      expect(quote(value).length).toBeLessThan(210);
    },
  );
});
