/** The page and the API reference in a real Chromium, as a person uses them: with keys, a mouse, dropped files. One server, one browser. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import axe from "axe-core";
import OpenAI, { toFile } from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { encodeAdapter } from "../../src/adapter/adapter-file.ts";
import { type Manifest, readManifest } from "../../src/base/manifest.ts";
import { adapterFile, adapterFor } from "../helpers/models/base-adapters.ts";
import { type BrowserPage, Chromium } from "../helpers/outside/chromium.ts";
import { MARKUP, markupBase } from "../helpers/models/markup-base.ts";
import { hasProgram, runProgram } from "../helpers/outside/programs.ts";
import { childrenOf, send, startServer, tempDir, type TestServer, until, untilIdle } from "../helpers/server.ts";

/** Starting a browser on a busy machine takes its time. */
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const KEY = "sk-0123456789abcdef";
const BASE = "<i>base</i>";
const NUM_TENANTS = 620;

const isPresent = hasProgram("chromium", "the page in a browser");
let server: TestServer;
let browser: Chromium;
let manifest: Manifest;
const pages: BrowserPage[] = [];

beforeAll(async () => {
  if (!isPresent) return;
  const base = await markupBase();
  manifest = await readManifest(base);
  const adapters = tempDir();
  const write = (name: string, bytes: Uint8Array) => writeFileSync(join(adapters, `${name}.mosara`), bytes);
  const alpha = adapterFor(manifest, { seed: 1 });
  write("alpha", encodeAdapter({ ...alpha, card: { about: MARKUP[0] ?? "", scores: { evalLoss: 0.25 } } }));
  for (const [index, name] of ["beta", "gamma", "mortal"].entries())
    write(name, adapterFile(manifest, { seed: 2 + index }));
  write("heads", adapterFile(manifest, { seed: 9, heads: 4 }));
  const tenant = adapterFile(manifest, { seed: 10 });
  for (let index = 0; index < NUM_TENANTS; index++) write(`tenant-${String(index).padStart(4, "0")}`, tenant);
  const model = ["--model", base, "--served-model-name", BASE, "--adapters", adapters];
  server = await startServer([...model, "--api-key", KEY, "--public-metrics", "--training-nice", "0"]);
  browser = new Chromium();
});

afterEach(() => {
  for (const page of pages.splice(0)) expect(page.problems).toEqual([]);
});

afterAll(async () => {
  await browser?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

async function openUrl(path: string): Promise<BrowserPage> {
  const page = await browser.open(server.url + path);
  pages.push(page);
  return page;
}

/** Resolves when the list is complete. */
const untilListed = (page: BrowserPage) =>
  page.until("/^6\\d\\d names(?!.*loading)/.test(document.getElementById('count').textContent)");

/** The page with these columns, after the key was typed in. */
async function openPage(...columns: string[]): Promise<BrowserPage> {
  const page = await openUrl(`/#columns=${encodeURIComponent(columns.join(","))}`);
  await page.untilText("#key-message", "requires a valid API key");
  await page.type(KEY);
  await page.press("Enter");
  await untilListed(page);
  await page.until(`document.querySelectorAll(".head").length === ${columns.length}`);
  return page;
}

/** Writes into a field, whatever was in it. */
async function fill(page: BrowserPage, selector: string, text: string): Promise<void> {
  await page.value(
    `(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.focus(); e.select(); })()`,
  );
  await page.type(text);
}

async function setMaxTokens(page: BrowserPage, numTokens: number): Promise<void> {
  await page.value("document.querySelector('.settings').open = true");
  await fill(page, "#max-tokens", String(numTokens));
}

async function say(page: BrowserPage, text: string): Promise<void> {
  await fill(page, "#message", text);
  await page.press("Enter");
}

/** Resolves when so many answers have ended, well or not. */
const untilAnswered = (page: BrowserPage, count: number) =>
  page.until(
    `document.querySelectorAll(".answer .meter").length === ${count} && !document.querySelector("[aria-busy]")`,
  );

/** Tab, until the element with this id has the focus. */
async function tabTo(page: BrowserPage, id: string): Promise<void> {
  for (let presses = 0; presses < 40; presses++) {
    await page.press("Tab");
    if ((await page.value("document.activeElement?.id")) === id) return;
  }
  throw new Error(`Tab does not reach ${id}`);
}

/** What axe-core finds wrong for people who use a keyboard or a screen reader, or need contrast. */
async function barriers(page: BrowserPage, within = "html"): Promise<string[]> {
  await page.value(axe.source);
  const found = await page.value<{ violations: { id: string; nodes: { html: string }[] }[] }>(`axe.run("${within}")`);
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(" ")}`);
}

const adapterFileOnDisk = (name: string, seed: number): string => {
  const path = join(tempDir(), name);
  writeFileSync(path, adapterFile(manifest, { seed }));
  return path;
};

describe.skipIf(!isPresent)("the page", () => {
  it("asks for a key, refuses a wrong one, and remembers the right one for the tab alone", async () => {
    const page = await openUrl("/");
    await page.untilText("#key-message", "This server requires a valid API key.");
    expect(await page.value("document.activeElement.id")).toBe("key");
    await page.type("sk-wrong");
    await page.press("Enter");
    await page.untilText("#key-message", "The key is not accepted.");
    await page.type(KEY);
    await page.press("Enter");
    await untilListed(page);
    expect(await page.value("document.getElementById('key-form').hidden")).toBe(true);
    await page.go(`${server.url}/?again`);
    await untilListed(page);
    expect(await page.value("document.getElementById('key-form').hidden")).toBe(true);
    expect(await page.value("localStorage.length + document.cookie.length")).toBe(0);
  });

  it("streams one conversation into four columns, with the keyboard alone", async () => {
    const page = await openPage(BASE, "alpha");
    await setMaxTokens(page, 16);
    await page.value("document.activeElement.blur()");
    await tabTo(page, "search");
    for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "Enter", "ArrowDown", "Enter"]) await page.press(key);
    expect(await page.texts(".head h3")).toEqual([BASE, "alpha", "beta", "gamma"]);
    await tabTo(page, "message");
    await page.type("Hello");
    await page.press("Enter", { shift: true });
    await page.type("you");
    await page.press("Enter");
    await untilAnswered(page, 4);
    for (const meter of await page.texts(".meter"))
      expect(meter).toMatch(/^16 tokens[\d.]+ tokens\/sfirst after \d+ mscut at the maximum of tokens$/);
    const answers = await page.texts(".answer .text:not(.reasoning *)");
    const first = [{ role: "user", content: "Hello\nyou" }];
    expect(page.posted.map(({ model, messages }) => ({ model, messages }))).toEqual(
      [BASE, "alpha", "beta", "gamma"].map((model) => ({ model, messages: first })),
    );
    await say(page, "And again");
    await untilAnswered(page, 8);
    expect(page.posted.slice(4).map(({ messages }) => messages)).toEqual(
      answers.map((content) => [...first, { role: "assistant", content }, { role: "user", content: "And again" }]),
    );
    expect((await page.texts("#announcements p")).length).toBe(8);
    for (const scheme of ["light", "dark"]) {
      await page.look({ scheme });
      expect([scheme, await barriers(page)]).toEqual([scheme, []]);
    }
  });

  it("finds an adapter among hundreds, and has four columns at most", async () => {
    const page = await openPage("alpha", "beta", "gamma");
    await fill(page, "#search", "T-06");
    await page.untilText("#count", "20 of 6");
    const found = await page.texts("#choices .name");
    expect(found.length).toBe(20);
    await page.press("Enter");
    await page.until("document.querySelectorAll('.head').length === 4");
    await page.press("ArrowDown");
    await page.press("Enter");
    await page.untilText("#notice [role=alert]", "4 columns at most");
    await page.press("ArrowUp");
    await page.press("Enter");
    await page.until("document.querySelectorAll('.head').length === 3");
  });

  it("shows one column at a time on a phone, without anything beside the screen", async () => {
    const page = await openPage("alpha", "beta");
    await page.look({ width: 390, height: 844 });
    await setMaxTokens(page, 8);
    await say(page, "Hello");
    await untilAnswered(page, 2);
    const shown = "[...document.querySelectorAll('.head')].filter((one) => one.offsetHeight > 0).length";
    expect(await page.value(shown)).toBe(1);
    await page.click("#tabs button:nth-child(2)");
    expect(await page.value("document.querySelector('.head.shown').ariaLabel")).toBe("beta");
    expect(await page.value("document.documentElement.scrollWidth")).toBe(390);
    await page.click("#show-sidebar");
    expect(await page.value("document.getElementById('search').offsetHeight > 0")).toBe(true);
    expect(await barriers(page)).toEqual([]);
    await page.click("#show-sidebar");
    expect(await page.value("document.getElementById('search').offsetHeight")).toBe(0);
  });
});

describe.skipIf(!isPresent)("a file", () => {
  it("that is dropped is used for this conversation alone", async () => {
    const page = await openPage("alpha");
    const path = adapterFileOnDisk("<b>mine<img src=x>.mosara", 21);
    await page.drop([path]);
    await page.untilText("dialog h2", "<b>mine<img src=x>.mosara");
    await page.click(".alone button");
    await page.until("document.querySelectorAll('.head').length === 2 && !document.querySelector('dialog')");
    await setMaxTokens(page, 8);
    await say(page, "Hello");
    await untilAnswered(page, 2);
    expect(page.posted.at(-1)).toMatchObject({ model: BASE, adapter: { data: readFileSync(path).toString("base64") } });
    expect(await page.texts(".answer .error")).toEqual([]);
  });

  it("that is opened is uploaded, and replaces an adapter only when that is wanted", async () => {
    const page = await openPage("alpha");
    const authorization = { headers: { authorization: `Bearer ${KEY}` } };
    const stored = () => send(`${server.url}/v1/adapters/mine`, "GET", undefined, authorization);
    const open = async (seed: number) => {
      await page.choose("#file", [adapterFileOnDisk("mine.mosara", seed)]);
      await page.until("document.querySelector('dialog #upload-name')?.value === 'mine'");
      await page.press("Enter"); // the name has the focus
    };
    await page.value("document.getElementById('file').focus()");
    await open(22);
    await page.until("document.querySelectorAll('.head').length === 2 && !document.querySelector('dialog')");
    const first = (await stored()).json["generation"];
    await open(23);
    await page.untilText("dialog [role=alert]", "precondition_failed");
    expect((await stored()).json["generation"]).toBe(first);
    await page.click("#upload-replace");
    await page.click("dialog .primary");
    await page.until("!document.querySelector('dialog')");
    expect((await stored()).json["generation"]).not.toBe(first);
    await send(`${server.url}/v1/adapters/mine`, "DELETE", undefined, authorization);
  });

  it("that is none is refused in words", async () => {
    const page = await openPage("alpha");
    const path = join(tempDir(), "none.mosara");
    writeFileSync(path, "no adapter");
    await page.drop([path]);
    await page.click("dialog .primary");
    await page.untilText("dialog [role=alert]", "adapter_invalid");
  });
});

describe.skipIf(!isPresent)("training jobs", () => {
  const jobs = (): OpenAI => new OpenAI({ baseURL: `${server.url}/v1`, apiKey: KEY, maxRetries: 0 });
  const create = async (steps: number, suffix: string): Promise<string> => {
    const client = jobs();
    const lines = Array.from({ length: 8 }, (_, i) => JSON.stringify({ prompt: `${i}: `, completion: `pong ${i}` }));
    const file = await client.files.create({ file: await toFile(Buffer.from(lines.join("\n"))), purpose: "fine-tune" });
    const settings = { training_file: file.id, validation_file: file.id, suffix, mosara: { steps } };
    return (await client.fineTuning.jobs.create({ model: BASE, ...settings })).id;
  };
  const reached = async (page: BrowserPage): Promise<number> =>
    Number(/after (\d+) of/.exec((await page.value<string | null>(CURVE)) ?? "")?.[1] ?? 0);
  const CURVE = "document.querySelector('.curve svg')?.ariaLabel ?? null";

  it("are shown with a curve that grows, and obey the page", async () => {
    const page = await openPage("alpha");
    await page.click("#jobs");
    await page.untilText("dialog .empty", "There are no training jobs yet.");
    await create(4000, "endless");
    await page.untilText(".job h3", "endless");
    await page.untilText(".job [role=status]", "running");
    const first = await until("the curve", () => reached(page));
    await until(
      "more of it",
      () => reached(page),
      (step) => step > first,
    );
    await page.click(".job-actions button");
    await page.untilText(".job [role=status]", "paused");

    const id = await create(6, "brief");
    await page.untilText(".jobs button", "brief");
    await page.click(".jobs li:first-child button");
    await page.untilText(".job h3", "brief");
    await page.untilText(".job [role=status]", "succeeded");
    await page.click(".job details summary");
    await page.until("document.querySelectorAll('.job tbody tr').length === 7");
    const shown = (await page.texts(".job tbody tr")).slice(1);
    const { data: events } = await jobs().fineTuning.jobs.listEvents(id, { limit: 100 });
    const losses = events.reverse().flatMap(({ data }) => (data as { train_loss?: number } | null)?.train_loss ?? []);
    expect(losses.length).toBe(6);
    for (const [index, loss] of losses.entries()) expect(shown[index]).toContain(`${index + 1}${loss.toFixed(4)}`);
    for (const scheme of ["light", "dark"]) {
      await page.look({ scheme });
      expect([scheme, await barriers(page, "dialog")]).toEqual([scheme, []]);
    }
    await page.look({ width: 390, height: 844 });
    expect(await page.value("document.documentElement.scrollWidth")).toBe(390);
    await page.look({});
    await page.click(".job-actions .primary");
    await page.until("document.querySelectorAll('.head').length === 2 && !document.querySelector('dialog')");
    expect((await page.texts(".head h3")).at(-1)).toMatch(/:brief:/);

    await page.click("#jobs");
    await page.untilText(".job [role=status]", "succeeded");
    await page.click(".jobs li:nth-child(2) button");
    await page.untilText(".job [role=status]", "paused");
    await page.click(".job-actions button:nth-child(2)");
    await page.untilText(".job-actions button", "Cancel for good");
    await page.press("Enter");
    await page.untilText(".job [role=status]", "cancelled");
    expect(await page.texts(".job-actions button")).toEqual([]);
  });
});

describe.skipIf(!isPresent)("markup", () => {
  it("in names, cards and answers is text", async () => {
    const page = await openPage(BASE, "alpha");
    await setMaxTokens(page, 60);
    await say(page, "<b>Hello</b>");
    await untilAnswered(page, 2);
    const answer = (await page.texts(".answer .text:not(.reasoning *)"))[0] ?? "";
    expect(MARKUP.every((text) => answer.includes(text.trim()))).toBe(true);
    expect(await page.value("document.querySelectorAll('main img, main script, main i, main b').length")).toBe(0);
    await page.click(".head button.name");
    await page.untilText("dialog .about", MARKUP[0]?.trim() ?? "");
    expect(await page.value("document.querySelectorAll('dialog img').length")).toBe(0);
    expect(await page.value("document.title")).toBe("mosara");
    expect(await barriers(page)).toEqual([]);
  });
});

describe.skipIf(!isPresent)("a blend", () => {
  it("asks with the weights of its slider", async () => {
    const page = await openPage();
    await page.click("#blend");
    await fill(page, "#first", "alpha");
    await fill(page, "#second", "beta");
    await page.press("Enter");
    await page.until("document.querySelector('.head input[type=range]')");
    await page.value("document.querySelector('.head input').focus()");
    for (let step = 0; step < 4; step++) await page.press("ArrowRight");
    expect(await page.texts(".head .weights span")).toEqual(["alpha 0.70", "beta 0.30"]);
    await setMaxTokens(page, 8);
    await say(page, "Hello");
    await untilAnswered(page, 1);
    expect(page.posted.at(-1)).toMatchObject({ model: BASE, adapter: { blend: { alpha: 0.7, beta: 0.3 } } });
    expect(await page.texts(".answer .error")).toEqual([]);
  });

  it("of an adapter with several heads is refused before it is asked", async () => {
    const page = await openPage();
    await page.click("#blend");
    await fill(page, "#first", "alpha");
    await fill(page, "#second", "heads");
    await page.press("Enter");
    await page.untilText("dialog [role=alert]", "heads has 4 heads");
  });
});

describe.skipIf(!isPresent)("an answer", () => {
  it("that fails is an error in its column, beside answers that do not", async () => {
    const page = await openPage("alpha", "mortal");
    await send(`${server.url}/v1/adapters/mortal`, "DELETE", undefined, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    await setMaxTokens(page, 8);
    await say(page, "Hello");
    await untilAnswered(page, 2);
    expect(await page.texts("[aria-label='Answer of mortal'] [role=alert] code")).toEqual(["model_not_found"]);
    expect((await page.texts(".meter"))[0]).toMatch(/^8 tokens/);
    // It is left out of what this column says next, and the others go on.
    await say(page, "Again");
    await untilAnswered(page, 4);
    expect(page.posted.slice(2).map(({ messages }) => (messages as object[]).length)).toEqual([3, 1]);
  });

  it("changes the page once a frame, however fast its tokens come", async () => {
    const page = await openPage("alpha");
    await setMaxTokens(page, 400);
    await page.value(`window.seen = { frames: 0, changes: 0 };
      (function count() { window.seen.frames++; requestAnimationFrame(count); })();
      new MutationObserver(() => window.seen.changes++).observe(document.querySelector("main"),
        { subtree: true, childList: true, characterData: true });`);
    await say(page, "Hello");
    await untilAnswered(page, 1);
    const { frames, changes } = await page.value<{ frames: number; changes: number }>("window.seen");
    expect(changes).toBeGreaterThan(2);
    // And the changes at the beginning and the end.
    expect(changes).toBeLessThan(frames + 10);
  });

  it("stops in all columns at once, and the server with it", async () => {
    const page = await openPage("alpha", "beta", "gamma");
    await setMaxTokens(page, 15_000);
    await say(page, "Hello");
    await page.until(
      "[...document.querySelectorAll('.answer')].every((one) => one.textContent.includes('first after'))",
    );
    expect(await page.value("document.getElementById('send').disabled")).toBe(true);
    await page.click("#stop");
    await untilAnswered(page, 3);
    for (const meter of await page.texts(".meter")) expect(meter).toMatch(/stopped$/);
    expect(await page.value("document.activeElement.id")).toBe("message");
    expect(await page.texts("[role=alert]")).not.toContain("Error");
    await untilIdle(server.url);
  });

  it("that breaks off is an error after what had come, and can be tried again", async () => {
    const page = await openPage("alpha");
    await setMaxTokens(page, 15_000);
    await say(page, "Hello");
    await page.untilText(".meter", "first after");
    for (const pid of childrenOf(server.pid)) process.kill(pid, "SIGKILL"); // the engine
    await page.untilText(".answer [role=alert]", "engine_unavailable");
    expect((await page.texts(".answer .text"))[1]?.length).toBeGreaterThan(0);
    const ready = async () => (await send(`${server.url}/readyz`, "GET")).status;
    await vi.waitUntil(async () => (await ready()) === 200, { timeout: 200_000 });
    await setMaxTokens(page, 8);
    await page.click(".answer .error button");
    await page.untilText(".meter", "8 tokens");
    expect(await page.texts(".answer [role=alert]")).toEqual([]);
  });
});

describe.skipIf(!isPresent)("the API reference", () => {
  it("has every route of the document, without a key", async () => {
    const page = await openUrl("/docs");
    await page.until("document.querySelector('.route')");
    const { json } = await send<{ paths: Record<string, { [method: string]: { tags: string[] } }> }>(
      `${server.url}/openapi.json`,
      "GET",
    );
    const documented = Object.entries(json.paths).flatMap(([path, methods]) =>
      Object.entries(methods).flatMap(([method, { tags }]) =>
        tags.includes("Pages") ? [] : [method.toUpperCase() + path],
      ),
    );
    expect((await page.texts(".route h4")).sort()).toEqual(documented.sort());
    await fill(page, "#find", "/v1/adapters"); // axe would read a whole minute
    for (const scheme of ["light", "dark"]) {
      await page.look({ scheme });
      expect([scheme, await barriers(page)]).toEqual([scheme, []]);
    }
    await page.look({ width: 390, height: 844 });
    expect(await page.value("document.documentElement.scrollWidth")).toBe(390);
  });

  it("finds the routes that have a field, and opens what hides it", async () => {
    const page = await openUrl("/docs");
    await page.until("document.querySelector('.route')");
    await fill(page, "#find", "guided_json");
    const routes = await page.texts("#contents li:not([hidden]) a span:last-child");
    expect(routes).toContain("/v1/chat/completions");
    expect(routes).not.toContain("/v1/embeddings");
    const hit = "#post-v1-chat-completions .hit[data-field=guided_json]";
    expect(await page.value(`document.querySelector("${hit}").offsetHeight > 0`)).toBe(true);
  });

  it("has examples that sh, Node and Python can read", async () => {
    const page = await openUrl("/docs");
    await page.until("document.querySelector('.route')");
    const examples = await page.value<[string, string][]>(`[...document.querySelectorAll(".example")].flatMap((box) =>
      [...box.querySelectorAll(".choice button")].map((tab) => (tab.click(), [tab.textContent, box.querySelector("pre").textContent])))`);
    const hasPython = hasProgram("python3", "examples in Python");
    for (const [language, text] of examples) {
      const isModule = language === "Node";
      const path = join(tempDir(), isModule ? "example.mjs" : "example");
      writeFileSync(path, text);
      if (language === "Python" && !hasPython) continue;
      const [program = "", ...args] =
        language === "curl"
          ? ["sh", "-n", path]
          : isModule
            ? ["node", "--check", path]
            : ["python3", "-c", "import ast,sys; ast.parse(open(sys.argv[1]).read())", path];
      const { status, output } = runProgram(program, args);
      expect([text, status, output]).toEqual([text, 0, ""]);
    }
    expect(new Set(examples.map(([language]) => language))).toEqual(new Set(["curl", "Node", "Python"]));
  });
});
