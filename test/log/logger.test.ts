import { describe, expect, it } from "vitest";
import { loggerTo } from "../../src/log/logger.ts";

const write = (isTerminal: boolean, keys: string[] = [], level = "info") => {
  const lines: string[] = [];
  return { log: loggerTo({ isTerminal, write: (text) => void lines.push(text) }, { level, keys }), lines };
};

describe("the log", () => {
  it("is one JSON object a line with the level's name and a time", () => {
    const { log, lines } = write(false);
    log.info({ adapter: "acme" }, "adapter");
    log.debug("not asked for");
    expect(lines).toHaveLength(1);
    const line = JSON.parse(lines[0] ?? "") as { time: string };
    expect(line).toEqual({ level: "info", time: expect.any(String), adapter: "acme", msg: "adapter" });
    expect(Math.abs(Date.parse(line.time) - Date.now())).toBeLessThan(60_000);
    expect(lines[0]).toMatch(/^\{.*\}\n$/);
  });

  it.each([false, true])("never holds a key, wherever it stands (terminal: %s)", (isTerminal) => {
    const key = 'sk-"quoted\\key"';
    const { log, lines } = write(isTerminal, [key]);
    log.info({ path: `/x/${key}`, deep: { list: [`a${key}b`] } }, `key ${key}`);
    log.info({ headers: { authorization: "Bearer unknown" }, authorization: "Bearer unknown" });
    log.error({ err: new Error(`with ${key}`) });
    expect(lines).toHaveLength(3);
    expect(lines.join("")).not.toContain("quoted");
    expect(lines.join("")).not.toContain("Bearer");
    expect(lines.join("").match(/\[redacted\]/g)?.length).toBeGreaterThanOrEqual(5);
  });

  it.each(["k", "key1", "a.b", "$1", "info", "10", "clé"])("replaces the short key %j as a word of its own", (key) => {
    const { log, lines } = write(false, [key]);
    log.info({ path: `/x?key=${key}`, list: [`Bearer ${key}`], other: `x${key}x` }, `key ${key}, not ${key}9`);
    log.info(`id_${key} Bearer%20${encodeURIComponent(key)} ${key}_2`);
    expect(JSON.parse(lines[1] ?? "")).toMatchObject({ msg: "id_[redacted] Bearer%20[redacted] [redacted]_2" });
    const line = JSON.parse(lines[0] ?? "") as Record<string, unknown>;
    expect(line).toMatchObject({ list: ["Bearer [redacted]"], other: `x${key}x`, msg: expect.any(String) });
    expect(line["path"]).toBe("/x?key=[redacted]");
    expect(line["msg"]).toBe(`key [redacted], not ${key}9`);
    expect(line["level"]).toBe("info");
    expect(Date.parse(String(line["time"]))).not.toBeNaN();
  });

  it("replaces a key in a URL, where its characters are percent-encoded", () => {
    const { log, lines } = write(false, ["sk/with=signs&more"]);
    log.info({ path: `/v1/models?api_key=${encodeURIComponent("sk/with=signs&more")}` }, "request");
    expect(lines[0]).toContain('"/v1/models?api_key=[redacted]"');
  });

  it("is readable on a terminal", () => {
    const { log, lines } = write(true);
    log.info({ status: 200, path: "/v1/completions", seconds: 0.123456, tenant: "two words" }, "request");
    expect(lines[0]).toMatch(
      /^\d\d:\d\d:\d\d INFO {2}request status=200 path=\/v1\/completions seconds=0.1235 tenant="two words"\n$/,
    );
    log.error({ err: new Error("it broke") }, "request failed");
    expect(lines[1]).toMatch(/ERROR request failed\n {9}Error: it broke\n {9} {4}at /);
  });

  it("moves no cursor of a terminal, whatever a caller sent", () => {
    const { log, lines } = write(true);
    log.info({ text: "\u001b[2J\u009b1m\u0007" }, "a\rb\u001b[31m");
    expect(lines[0]?.replace(/\n$/, "")).not.toMatch(/\p{Cc}/u);
  });
});
