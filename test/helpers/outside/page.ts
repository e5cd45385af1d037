/** The page of one server in one browser, and what a person does there. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import axe from "axe-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { encodeAdapter } from "../../../src/adapter/adapter-file.ts";
import { type Manifest, readManifest } from "../../../src/base/manifest.ts";
import { adapterFile, adapterFor } from "../models/base-adapters.ts";
import { type BrowserPage, Chromium } from "./chromium.ts";
import { MARKUP, markupBase } from "../models/markup-base.ts";
import { hasProgram } from "./programs.ts";
import { startServer, tempDir, type TestServer } from "../server.ts";

export const KEY = "sk-0123456789abcdef";

export const BASE = "<i>base</i>";

const NUM_TENANTS = 620;

export const isPresent = hasProgram("chromium", "the page in a browser");

export let server: TestServer;

let browser: Chromium;

let manifest: Manifest;

const pages: BrowserPage[] = [];

export async function openUrl(path: string): Promise<BrowserPage> {
  const page = await browser.open(server.url + path);
  pages.push(page);
  return page;
}

/** Resolves when the list is complete. */
export const untilListed = (page: BrowserPage) =>
  page.until("/^6\\d\\d names(?!.*loading)/.test(document.getElementById('count').textContent)");

/** The page with these columns, after the key was typed in. */
export async function openPage(...columns: string[]): Promise<BrowserPage> {
  const page = await openUrl(`/#columns=${encodeURIComponent(columns.join(","))}`);
  await page.untilText("#key-message", "requires a valid API key");
  await page.type(KEY);
  await page.press("Enter");
  await untilListed(page);
  await page.until(`document.querySelectorAll(".head").length === ${columns.length}`);
  return page;
}

/** Writes into a field, whatever was in it. */
export async function fill(page: BrowserPage, selector: string, text: string): Promise<void> {
  await page.value(
    `(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.focus(); e.select(); })()`,
  );
  await page.type(text);
}

export async function setMaxTokens(page: BrowserPage, numTokens: number): Promise<void> {
  await page.value("document.querySelector('.settings').open = true");
  await fill(page, "#max-tokens", String(numTokens));
}

export async function say(page: BrowserPage, text: string): Promise<void> {
  await fill(page, "#message", text);
  await page.press("Enter");
}

/** Resolves when so many answers have ended, well or not. */
export const untilAnswered = (page: BrowserPage, count: number) =>
  page.until(
    `document.querySelectorAll(".answer .meter").length === ${count} && !document.querySelector("[aria-busy]")`,
  );

/** Tab, until the element with this id has the focus. */
export async function tabTo(page: BrowserPage, id: string): Promise<void> {
  for (let presses = 0; presses < 40; presses++) {
    await page.press("Tab");
    if ((await page.value("document.activeElement?.id")) === id) return;
  }
  throw new Error(`Tab does not reach ${id}`);
}

/** What axe-core finds wrong for people who use a keyboard or a screen reader, or need contrast. */
export async function barriers(page: BrowserPage, within = "html"): Promise<string[]> {
  await page.value(axe.source);
  const found = await page.value<{ violations: { id: string; nodes: { html: string }[] }[] }>(`axe.run("${within}")`);
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(" ")}`);
}

export const adapterFileOnDisk = (name: string, seed: number): string => {
  const path = join(tempDir(), name);
  writeFileSync(path, adapterFile(manifest, { seed }));
  return path;
};

/** One server and one browser for all tests of a file. */
export function usePage(): void {
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
}
