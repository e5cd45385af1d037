/**
 * One Chromium that tests drive as a person would: with keys, clicks, dropped files. It speaks the DevTools protocol
 * over a pipe, so it needs no port and no library. Waiting is always for a condition. Source:
 * chromedevtools.github.io/devtools-protocol.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Readable, Writable } from "node:stream";
import { tempDir, until } from "../server.ts";

type Json = Record<string, unknown>;
type Message = Json & { id?: number; method?: string; params?: Json; sessionId?: string; error?: { message: string } };
type Listener = (message: Message) => void;

const FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];

/** Codes of keys that have a name. */
const KEY_CODES: Readonly<Record<string, number>> = {
  Tab: 9,
  Enter: 13,
  Escape: 27,
  " ": 32,
  ArrowLeft: 37,
  ArrowUp: 38,
  ArrowRight: 39,
  ArrowDown: 40,
};

export class Chromium implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #pending = new Map<number, { resolve: (result: Json) => void; reject: (error: Error) => void }>();
  readonly #listeners = new Set<Listener>();
  #nextId = 1;

  constructor() {
    const dir = tempDir();
    const args = [...FLAGS, "--remote-debugging-pipe", `--user-data-dir=${dir}`, "about:blank"];
    const env = { ...process.env, HOME: dir, XDG_CONFIG_HOME: dir, XDG_CACHE_HOME: dir };
    this.#child = spawn("chromium", args, {
      env,
      detached: true,
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    this.#exited = new Promise((resolve) => this.#child.once("close", () => resolve()));
    let rest = "";
    (this.#child.stdio[4] as Readable).setEncoding("utf8").on("data", (data: string) => {
      const parts = (rest + data).split("\0");
      rest = parts.pop() ?? "";
      for (const part of parts) this.#receive(JSON.parse(part) as Message);
    });
  }

  /** Calls a method of the protocol. */
  send(method: string, params: Json = {}, sessionId?: string): Promise<Json> {
    const id = this.#nextId++;
    const message = { id, method, params, ...(sessionId === undefined ? {} : { sessionId }) };
    (this.#child.stdio[3] as Writable).write(`${JSON.stringify(message)}\0`);
    return new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
  }

  listen(listener: Listener): void {
    this.#listeners.add(listener);
  }

  /** A page in a tab of its own, with cookies and storage of its own. */
  async open(url: string): Promise<BrowserPage> {
    const { browserContextId } = await this.send("Target.createBrowserContext");
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank", browserContextId });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new BrowserPage(this, sessionId as string);
    await page.start();
    await page.go(url);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.pid !== undefined) process.kill(-this.#child.pid, "SIGKILL");
    await this.#exited;
  }

  #receive(message: Message): void {
    for (const listener of this.#listeners) listener(message);
    const waiting = message.id === undefined ? undefined : this.#pending.get(message.id);
    if (!waiting || message.id === undefined) return;
    this.#pending.delete(message.id);
    if (message.error) waiting.reject(new Error(message.error.message));
    else waiting.resolve(message["result"] as Json);
  }
}

/** A page under test. Selectors are CSS; text is what a person would read. */
export class BrowserPage {
  readonly #browser: Chromium;
  readonly #session: string;
  /** What the page wrote to its console as a warning or error, threw, or tried against its content security policy. */
  readonly problems: string[] = [];
  /** Bodies that the page has posted, newest last. */
  readonly posted: Json[] = [];

  constructor(browser: Chromium, session: string) {
    this.#browser = browser;
    this.#session = session;
    browser.listen(({ sessionId, method, params = {} }) => {
      if (sessionId === session && method !== undefined) this.#note(method, params);
    });
  }

  async start(): Promise<void> {
    for (const domain of ["Page", "Runtime", "Log", "Network", "DOM", "Audits"]) await this.call(`${domain}.enable`);
    await this.look({});
  }

  call(method: string, params: Json = {}): Promise<Json> {
    return this.#browser.send(method, params, this.#session);
  }

  async go(url: string): Promise<void> {
    await this.call("Page.navigate", { url });
    await this.until("document.readyState === 'complete' && location.href !== 'about:blank'");
  }

  /** The size of the window, and what the system prefers. */
  async look({ width = 1280, height = 800, scheme = "light" }: { width?: number; height?: number; scheme?: string }) {
    const features = [
      { name: "prefers-color-scheme", value: scheme },
      { name: "prefers-reduced-motion", value: "reduce" },
    ];
    const size = { width, height, deviceScaleFactor: 1, mobile: width < 760 };
    await this.call("Emulation.setDeviceMetricsOverride", size);
    await this.call("Emulation.setEmulatedMedia", { features });
  }

  /** The value of an expression; promises are awaited. */
  async value<T>(expression: string): Promise<T> {
    const params = { expression, returnByValue: true, awaitPromise: true, userGesture: true };
    const { result, exceptionDetails } = await this.call("Runtime.evaluate", params);
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return (result as { value: T }).value;
  }

  async until(expression: string): Promise<void> {
    await until(expression, () => this.value<boolean>(`Boolean(${expression})`).catch(() => false));
  }

  /** Resolves when an element is there whose text contains this. */
  untilText(selector: string, text: string): Promise<void> {
    const find = `[...document.querySelectorAll(${JSON.stringify(selector)})]`;
    return this.until(`${find}.some((one) => one.textContent.includes(${JSON.stringify(text)}))`);
  }

  /** Texts of all elements that the selector finds. */
  texts(selector: string): Promise<string[]> {
    return this.value(`[...document.querySelectorAll(${JSON.stringify(selector)})].map((one) => one.textContent)`);
  }

  /** A click in the middle of an element. */
  async click(selector: string): Promise<void> {
    const find = `document.querySelector(${JSON.stringify(selector)})`;
    await this.until(find);
    const place = `(() => { const e = ${find}; e.scrollIntoView({ block: "nearest" }); const { x, y, width, height } = e.getBoundingClientRect(); return { x: x + width / 2, y: y + height / 2 }; })()`;
    const { x, y } = await this.value<{ x: number; y: number }>(place);
    const common = { x, y, button: "left", clickCount: 1 };
    await this.call("Input.dispatchMouseEvent", { ...common, type: "mousePressed" });
    await this.call("Input.dispatchMouseEvent", { ...common, type: "mouseReleased" });
  }

  /** Types into whatever has the focus. */
  async type(text: string): Promise<void> {
    await this.call("Input.insertText", { text });
  }

  /** @param shift whether the shift key is held */
  async press(key: string, { shift = false } = {}): Promise<void> {
    const windowsVirtualKeyCode = KEY_CODES[key] ?? key.toUpperCase().charCodeAt(0);
    const text = key === "Enter" ? "\r" : key.length === 1 ? key : undefined;
    const common = { key, code: key === " " ? "Space" : key, windowsVirtualKeyCode, modifiers: shift ? 8 : 0 };
    await this.call("Input.dispatchKeyEvent", { ...common, type: "keyDown", ...(text === undefined ? {} : { text }) });
    await this.call("Input.dispatchKeyEvent", { ...common, type: "keyUp" });
  }

  /** Files chosen in a file field. */
  async choose(selector: string, files: readonly string[]): Promise<void> {
    const { root } = await this.call("DOM.getDocument");
    const { nodeId } = await this.call("DOM.querySelector", { nodeId: (root as { nodeId: number }).nodeId, selector });
    await this.call("DOM.setFileInputFiles", { files, nodeId });
  }

  /** Files dragged from outside and dropped in the middle of the window. */
  async drop(files: readonly string[]): Promise<void> {
    const common = { x: 640, y: 400, data: { items: [], files, dragOperationsMask: 1 } };
    for (const type of ["dragEnter", "dragOver", "drop"])
      await this.call("Input.dispatchDragEvent", { ...common, type });
  }

  /** A picture of the window as a PNG file. */
  async picture(path: string): Promise<void> {
    const { data } = await this.call("Page.captureScreenshot", { format: "png" });
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.from(data as string, "base64"));
  }

  #note(method: string, params: Json): void {
    if (method === "Runtime.exceptionThrown") this.problems.push(JSON.stringify(params["exceptionDetails"]));
    if (method === "Audits.issueAdded") this.#noteIssue(params["issue"] as Json);
    if (method === "Log.entryAdded")
      this.#noteEntry(params["entry"] as { level: string; source: string; text: string });
    if (method === "Runtime.consoleAPICalled" && ["error", "warning"].includes(params["type"] as string))
      this.problems.push(JSON.stringify(params["args"]));
    const { postData } = (params["request"] ?? {}) as { postData?: string };
    if (method === "Network.requestWillBeSent" && postData?.startsWith("{") === true)
      this.posted.push(JSON.parse(postData) as Json);
  }

  /** The browser reports every breach of the policy as an issue. */
  #noteIssue(issue: Json): void {
    if (issue["code"] === "ContentSecurityPolicyIssue") this.problems.push(JSON.stringify(issue["details"]));
  }

  /** A status of 400 or more is an entry, too; the tests cause those on purpose. */
  #noteEntry({ level, source, text }: { level: string; source: string; text: string }): void {
    if (["error", "warning"].includes(level) && source !== "network") this.problems.push(text);
  }
}
