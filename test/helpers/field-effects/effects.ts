/** What every heeded field does, each against the application over the arithmetic engine. */
import { expect } from "vitest";
import type { Endpoint } from "../../../src/fields/field.ts";
import { type Effect, ask, textOf, lastRequest, promptOf, engineGets } from "./bench.ts";
import { CHAT } from "./chat-effects.ts";
import { SHARED } from "./shared-effects.ts";

const COMPLETIONS: Readonly<Record<string, Effect>> = {
  prompt: engineGets({ prompt: [97, 98] }, { promptIds: Int32Array.of(97, 98) }),
  echo: async (bench) => {
    const whole = textOf(await ask(bench, {}));
    expect(textOf(await ask(bench, { echo: true }))).toBe(`hello${whole}`);
  },
  logprobs: async (bench) => expect((await ask(bench, { logprobs: 2 })).choices[0]?.logprobs?.tokens).toHaveLength(12),
  best_of: async (bench) => {
    const before = bench.test.engine.requests.length;
    expect((await ask(bench, { best_of: 3, n: 2 })).choices).toHaveLength(2);
    expect(bench.test.engine.requests).toHaveLength(before + 3);
  },
  add_special_tokens: async (bench) => {
    await ask(bench, {});
    expect(lastRequest(bench).promptIds[0]).toBe(1);
    await ask(bench, { add_special_tokens: false });
    expect(promptOf(bench)).toBe("hello");
  },
};

export const EFFECTS: Readonly<Record<Endpoint, Readonly<Record<string, Effect>>>> = {
  chat: { ...SHARED, ...CHAT },
  completions: { ...SHARED, ...COMPLETIONS },
};
