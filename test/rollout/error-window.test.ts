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
