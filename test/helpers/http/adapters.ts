/** The adapters of an application with a directory of them, by their routes. */
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { createTestApp, type TestApp } from "../http-app.ts";

// A new one of each for every test.
export let test: TestApp;
export let dir: string;

export interface Adapter {
  id: string;
  generation: string;
  placement: string;
  compatible: boolean;
  merge?: object;
  data: Adapter[];
  has_more: boolean;
  error: { code: string; message: string };
}

export const send = async (method: string, path: string, options: RequestInit = {}) => {
  const response = await test.app.request(path, { method, ...options });
  const body = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body,
    json: (/^[{[]/.test(body) ? JSON.parse(body) : {}) as Adapter,
  };
};

export const get = (path: string, headers: Record<string, string> = {}) => send("GET", path, { headers });

/** A new application with an empty directory of adapters for each test. */
export function useAdapters(): void {
  beforeEach(async () => {
    dir = realpathSync(mkdtempSync(join(tmpdir(), "mosara-adapters-")));
    mkdirSync(join(dir, "adapters"));
    test = await createTestApp({ adaptersDir: join(dir, "adapters") });
  });
  afterEach(async () => {
    await test[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });
}
