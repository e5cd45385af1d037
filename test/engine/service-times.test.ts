import { expect, it } from "vitest";
import { ServiceTimes } from "../../src/engine/service-times.ts";

const finished = (prefillSeconds: number, decodeSeconds: number) =>
  ({ id: 1, reason: "length", queueSeconds: 0, adapterSeconds: 0, prefillSeconds, decodeSeconds }) as const;

it("advises a second as long as it knows nothing", () => {
  expect(new ServiceTimes().retryAfterSeconds(1000, 5)).toBe(1);
});

it("advises the time in which half of the queue drains at the recent rate, within a minute", () => {
  const times = new ServiceTimes();
  for (let i = 0; i < 100; i++) times.noteStarted(i * 250); // four a second
  const now = 25_000;
  expect(times.retryAfterSeconds(80, now)).toBe(10);
  expect(times.retryAfterSeconds(1, now)).toBe(1);
  expect(times.retryAfterSeconds(100_000, now)).toBe(60);
  expect(times.retryAfterSeconds(80, now + 8000)).toBe(20); // nothing has started since
});

it("expects of a sequence what those before it took, token by token", () => {
  const times = new ServiceTimes();
  expect(times.secondsFor(100, 50)).toEqual({ usual: 0, cautious: 0 });
  for (let i = 0; i < 50; i++) times.noteFinished(200, 21, finished(2, 1));
  expect(times.secondsFor(100, 11).usual).toBeCloseTo(1 + 10 * 0.05);
  // As long as they were, not as long as it may be.
  expect(times.secondsFor(100, 4000).usual).toBeCloseTo(1 + 20 * 0.05);
  expect(times.secondsFor(100, 4000).cautious).toBeCloseTo(1 + 20 * 0.05); // all were alike
});

it("is cautious about lengths and about the pace, as far as recent ones differed", () => {
  const times = new ServiceTimes();
  for (let i = 0; i < 640; i++) times.noteFinished(100, i % 10 === 0 ? 101 : 11, finished(1, i % 10 === 0 ? 10 : 1));
  const { usual, cautious } = times.secondsFor(100, 4000);
  expect(usual).toBeLessThan(4);
  expect(cautious).toBeGreaterThan(10);
  expect(times.secondsFor(100, 11).cautious).toBeLessThan(2.5); // asks for no more than the others had
  const uneven = new ServiceTimes();
  for (let i = 0; i < 640; i++) uneven.noteFinished(100, 11, finished(1, i % 10 === 0 ? 3 : 1));
  expect(uneven.secondsFor(100, 11).cautious).toBeGreaterThan(3);
});
