import { expect, it } from "vitest";
import { ServiceTimes } from "../../src/engine/service-times.ts";

const finished = (prefillSeconds: number, decodeSeconds: number) =>
  ({ id: 1, reason: "length", queueSeconds: 0, prefillSeconds, decodeSeconds }) as const;

it("advises a second as long as it knows nothing", () => {
  expect(new ServiceTimes().retryAfterSeconds(1000, 5)).toBe(1);
});

it("advises the time in which half of the queue drains at the rate of late, within a minute", () => {
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
  expect(times.secondsFor(100, 50)).toBe(0);
  for (let i = 0; i < 50; i++) times.noteFinished(200, 21, finished(2, 1));
  expect(times.secondsFor(100, 10)).toBeCloseTo(1 + 10 * 0.05);
  expect(times.secondsFor(100, 4000)).toBeCloseTo(1 + 21 * 0.05); // as long as they were, not as long as it may be
});
