/**
 * The folder of the bases that all test files share (`bases.ts`). Vitest makes it before the tests and removes it after
 * them.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    readonly basesDir: string;
  }
}

export function setup(project: TestProject): () => void {
  const dir = mkdtempSync(join(tmpdir(), "mosara-bases-"));
  project.provide("basesDir", dir);
  return () => rmSync(dir, { recursive: true, force: true });
}
