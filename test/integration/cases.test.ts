/**
 * Inputs of public bug reports: every folder of test/golden/cases, handed to the check that its case.json names.
 * A check is a file of test/helpers/cases with a function `check`, and `close` where something stays open between
 * cases. A new check needs no change here.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { casesIn, readJson } from "../helpers/fixtures.ts";

interface CaseFile {
  readonly check: string;
}

interface CheckFile {
  /** @param value the content of case.json. @param folder where it and the case's further files are */
  readonly check: (value: unknown, folder: string) => Promise<void>;
  readonly close?: () => Promise<void>;
}

const ROOT = join(import.meta.dirname, "..", "golden", "cases");
const CHECKS = join(import.meta.dirname, "..", "helpers", "cases");

const kinds = readdirSync(ROOT, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));

const used = new Set<CheckFile>();
afterAll(async () => {
  for (const { close } of used) await close?.();
});

describe.each(kinds)("%s", (kind) => {
  const names = casesIn(join(ROOT, kind), "case.json");

  it.each(names)("%s gives what is right", async (name) => {
    const folder = join(ROOT, kind, name);
    const value = readJson<CaseFile>(folder, "case.json");
    expect(existsSync(join(CHECKS, `${value.check}.ts`)), `a check ${value.check} in test/helpers/cases`).toBe(true);
    const file = (await import(`../helpers/cases/${value.check}.ts`)) as CheckFile;
    used.add(file);
    await file.check(value, folder);
  });

  it("is more than one example", () => {
    expect(names.length).toBeGreaterThanOrEqual(3);
  });
});
