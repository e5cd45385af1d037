/**
 * Every field of the tables × values that are not neutral: heeded by effect, without effect, or refused by name.
 * Nothing else.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FIELDS } from "../../src/fields/check-fields.ts";
import type { Body, Endpoint, Treatment } from "../../src/fields/field.ts";
import { NESTED_FIELDS } from "../../src/fields/nested-fields.ts";
import type { ChatPrompt } from "../../src/http/context.ts";
import { END_ID } from "../helpers/engine/arithmetic-engine.ts";
import { createTestApp, fittingAdapter, type TestApp } from "../helpers/http-app.ts";
import { EFFECTS } from "../helpers/field-effects/effects.ts";

/** One for all: every question is answered anew. */
let test: TestApp;
beforeAll(async () => {
  test = await createTestApp({ startIds: [1] });
  await test.put("acme", fittingAdapter(1));
});
afterAll(() => test[Symbol.asyncDispose]());

const VALUES: readonly unknown[] = [true, false, "some text", 7, -7, 0.5, ["a"], [], { a: 1 }, {}];
const PATHS = { chat: "/v1/chat/completions", completions: "/v1/completions" } as const;
const BODIES: Readonly<Record<Endpoint, Body>> = {
  chat: { model: "base", messages: [{ role: "user", content: "hello" }], temperature: 0, max_tokens: 12 },
  completions: { model: "base", prompt: "hello", temperature: 0, max_tokens: 12 },
};

const withTreatment = <K extends Treatment["kind"]>(kind: K) =>
  (["chat", "completions"] as const).flatMap((endpoint) =>
    FIELDS.flatMap(({ name, treatment }) => {
      const one = treatment[endpoint];
      return one.kind === kind ? [{ endpoint, name, treatment: one as Extract<Treatment, { kind: K }> }] : [];
    }),
  );

async function ask(endpoint: Endpoint, fields: object) {
  const response = await test.post(PATHS[endpoint], { ...BODIES[endpoint], ...fields });
  const json = (await response.json()) as {
    choices?: unknown;
    error?: { code: string; param: string | null; message: string };
  };
  return { status: response.status, choices: json.choices, error: json.error };
}

describe("a refused field", () => {
  it.each(withTreatment("refused"))("$endpoint: $name", async ({ endpoint, name, treatment }) => {
    const values = VALUES.filter((value) => !treatment.neutral.holds(value, BODIES[endpoint]));
    if (!treatment.neutral.text.includes("any, while")) expect(values.length).toBeGreaterThan(0);
    const before = test.engine.requests.length;
    for (const value of values) {
      const { status, error } = await ask(endpoint, { [name]: value });
      expect([status, error?.code, error?.param], JSON.stringify(value)).toEqual([400, "unsupported_parameter", name]);
      expect(error?.message).toContain(treatment.text);
    }
    expect(test.engine.requests).toHaveLength(before);
  });

  it.each([
    [{ repeat_last_n: 64, presence_penalty: 1 }, "repeat_last_n"],
    [{ dry_base: 2, dry_multiplier: 1 }, "dry_base"],
    [{ mirostat_tau: 5, mirostat: 2 }, "mirostat_tau"],
    [{ do_sample: false, temperature: 1 }, "do_sample"],
  ])("that another one gives a meaning: %j", async (fields, param) => {
    expect((await ask("completions", fields)).error).toMatchObject({ code: "unsupported_parameter", param });
  });

  it.each(withTreatment("refused"))("$endpoint: $name passes where it is neutral", async (field) => {
    const { endpoint, name, treatment } = field;
    const plain = await ask(endpoint, {});
    const neutral = [...VALUES, 1, 0, -1, "none", "local", ["text"], { type: "text" }].filter((value) =>
      treatment.neutral.holds(value, BODIES[endpoint]),
    );
    for (const value of neutral) expect(await ask(endpoint, { [name]: value }), JSON.stringify(value)).toEqual(plain);
  });
});

describe("a harmless field", () => {
  it.each(withTreatment("harmless"))("$endpoint: $name", async ({ endpoint, name }) => {
    const plain = await ask(endpoint, {});
    const request = test.engine.requests.at(-1);
    for (const value of VALUES) {
      expect(await ask(endpoint, { [name]: value }), JSON.stringify(value)).toEqual(plain);
      expect({ ...test.engine.requests.at(-1), sampling: null }).toEqual({ ...request, sampling: null });
    }
  });
});

describe("a heeded field", () => {
  it.each(withTreatment("heeded"))("$endpoint: $name", async ({ endpoint, name }) => {
    const effect = EFFECTS[endpoint][name];
    if (effect === undefined) throw new Error(`the effect of ${name} is not tested`);
    await effect({ test, path: PATHS[endpoint], body: BODIES[endpoint] });
  });

  it("that the tables no longer have is not tested either", () => {
    for (const endpoint of ["chat", "completions"] as const) {
      const heeded = withTreatment("heeded").filter((field) => field.endpoint === endpoint);
      expect(Object.keys(EFFECTS[endpoint]).sort()).toEqual(heeded.map(({ name }) => name).sort());
    }
  });
});

describe("a nested field", () => {
  const given = (place: string) =>
    Object.entries(NESTED_FIELDS[place] ?? {}).flatMap(([name, { kind }]) => (kind === "refused" ? [] : [name]));

  it("of a message, a part or a tool reaches the chat template as it came", async () => {
    const { text } = test.context;
    const encodeChat = text.encodeChat.bind(text);
    const seen: ChatPrompt[] = [];
    text.encodeChat = (prompt) => {
      seen.push(prompt);
      return encodeChat(prompt);
    };
    const values = (place: string, own: object) => ({
      ...Object.fromEntries(given(place).map((name) => [name, "a value"])),
      ...own,
    });
    const part = values("messages[].content[]", { type: "text", text: "hello" });
    const messages = [
      values("messages[]", { role: "user", content: "hello", tool_calls: [{ id: "a" }] }),
      values("messages[]", { role: "assistant", content: [part], tool_calls: [{ id: "b" }] }),
    ];
    const tools = [
      values("tools[]", { type: "function", function: values("tools[].function", { parameters: {}, strict: false }) }),
    ];
    const { status } = await ask("chat", { messages, tools });
    text.encodeChat = encodeChat;
    expect([status, seen[0]?.messages, seen[0]?.tools]).toEqual([200, messages, tools]);
  });
});

describe("--strict-fields", () => {
  it("refuses unknown fields and names the one that was meant", async () => {
    await using strict = await createTestApp({ refusesUnknownFields: true });
    const response = await strict.post(PATHS.completions, { ...BODIES.completions, temprature: 1 });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: {
        code: "invalid_request",
        param: "temprature",
        message: expect.stringContaining('"temperature"') as string,
      },
    });
    expect((await strict.post(PATHS.completions, BODIES.completions)).status).toBe(200);
    expect((await ask("completions", { temprature: 1 })).status).toBe(200);
  });
});

describe("ends of an answer", () => {
  it("by a stop string that began before min_tokens and ends after it", async () => {
    const { choices } = await ask("completions", {});
    const { text } = (choices as { text: string }[])[0] as { text: string };
    const stop = text.slice(3, 5);
    const cutAt = async (minTokens: number) => {
      const { choices: cut } = await ask("completions", { stop, min_tokens: minTokens });
      return (cut as { text: string }[])[0]?.text;
    };
    expect(await cutAt(4)).toBe(text.slice(0, text.indexOf(stop)));
    const later = text.indexOf(stop, 4);
    expect(await cutAt(5)).toBe(later < 0 ? text : text.slice(0, later));
    expect(await cutAt(12)).toBe(text);
  });

  it("by a stop token, which include_stop_str_in_output shows", async () => {
    const shown = { max_tokens: 60, skip_special_tokens: false };
    const { choices } = await ask("completions", { ...shown, include_stop_str_in_output: true });
    expect((choices as { text: string }[])[0]?.text.endsWith("</s>")).toBe(true);
    expect(test.engine.requests.at(-1)?.stopIds).toEqual([END_ID]);
    const { choices: without } = await ask("completions", shown);
    expect((without as { text: string }[])[0]?.text.endsWith("</s>")).toBe(false);
  });
});
