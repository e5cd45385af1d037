import { expect, it } from "vitest";
import { ErrorWindow } from "../../src/rollout/error-window.ts";

it("counts what ended within the window, to a tenth of it", () => {
  const window = new ErrorWindow(10);
  for (let second = 0; second < 30; second++) {
    window.record(second % 2 === 0, second * 1000);
    const ended = Math.min(second + 1, 10);
    expect(window.count(second * 1000)).toEqual({ ended, errors: Math.ceil(ended / 2) });
  }
  expect(window.count(29_000 + 9000)).toEqual({ ended: 1, errors: 0 });
  expect(window.count(29_000 + 10_000)).toEqual({ ended: 0, errors: 0 });
});

it("continues with the slices of an earlier process, without those of a clock that was ahead", () => {
  const before = new ErrorWindow(10);
  for (let second = 0; second < 10; second++) before.record(second < 3, second * 1000);
  const slices = [...before.slices, { number: 99, ended: 7, errors: 7 }];
  const after = new ErrorWindow(10, slices);
  expect(after.count(9000)).toEqual({ ended: 10, errors: 3 });
  after.record(true, 11_000);
  expect(after.count(11_000)).toEqual({ ended: 9, errors: 2 });
});
