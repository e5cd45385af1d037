/**
 * The page and the API reference in a real Chromium, as a person uses them: with keys, a mouse, dropped files. One
 * server, one browser.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { MARKUP } from "../helpers/models/markup-base.ts";
import { send, tempDir } from "../helpers/server.ts";
import {
  KEY,
  BASE,
  isPresent,
  server,
  openUrl,
  untilListed,
  openPage,
  fill,
  setMaxTokens,
  say,
  untilAnswered,
  tabTo,
  barriers,
  adapterFileOnDisk,
  usePage,
} from "../helpers/outside/page.ts";
import { describeTrainingJobs } from "./page/training-jobs.ts";
import { describeAnswers } from "./page/answers.ts";
import { describeApiReference } from "./page/api-reference.ts";

/** Starting a browser on a busy machine takes its time. */
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });
usePage();

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

describeTrainingJobs();

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

describeAnswers();

describeApiReference();
