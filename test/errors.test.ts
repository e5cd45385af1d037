import { describe, expect, it } from "vitest";
import { AppError, fromWire, toWire } from "../src/errors.ts";

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
