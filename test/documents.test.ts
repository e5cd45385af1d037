/** The documents hold together: links lead somewhere, paths exist, and comments cite only what is in the repository. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { packageRoot } from "../src/cli/shared/package-root.ts";
import { checkoutFiles } from "./helpers/checkout-files.ts";

const ROOT = packageRoot();
const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");

const FILES = checkoutFiles();
const DOCUMENTS = FILES.filter((file) => file.endsWith(".md") && !file.startsWith("test/golden"));
const SOURCES = FILES.filter(
  (file) => !file.startsWith("test/golden") && /^(src|scripts|load-tests|test)\/.*\.(ts|mts|mjs)$/.test(file),
);
const TOP = /^(src|docs|test|scripts|load-tests|deploy|models|adapters|examples|findings)\//;

/** Text outside of fenced code. */
const prose = (text: string): string => text.replaceAll(/^ *```[^]*?^ *```/gm, "");

function isThere(path: string): boolean {
  return existsSync(join(ROOT, path)) || FILES.some((file) => file.startsWith(`${path.replace(/\/$/, "")}/`));
}

/** Text that a generator puts into another page, with links as that page needs them. */
const PARTS: Readonly<Record<string, string>> = {
  "docs/study/conclusions.md": "docs/study.md",
  "docs/study/real-conclusions.md": "docs/study-real.md",
};

function brokenLinks(file: string): string[] {
  const links = [...prose(read(file)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
  const relative = links.filter((link) => !/^([a-z]+:|#)/.test(link)).map((link) => link.split("#")[0] ?? "");
  return relative.filter((link) => !isThere(normalize(join(dirname(PARTS[file] ?? file), link))));
}

function missingPaths(file: string): string[] {
  const spans = [...prose(read(file)).matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span);
  const paths = spans.filter((span) => TOP.test(span) && /^[\w./-]+$/.test(span));
  return paths.filter((path) => !isThere(path));
}

/** Documents that a text of any kind names by their path: help, errors, settings. */
function missingDocuments(file: string): string[] {
  return (read(file).match(/(?<![\w/.-])docs\/[\w./-]+\.md\b/g) ?? []).filter((path) => !isThere(path));
}

/** Documents that comments cite: by path from the root, or by name alone. */
function missingCitations(file: string): string[] {
  const comments = read(file).match(/\/\*[^]*?\*\/|\/\/[^\n]*/g) ?? [];
  const cited = comments.flatMap((comment) => comment.match(/(?<![\w/.:-])[\w./-]+\.md\b/g) ?? []);
  return cited.filter((name) => !isThere(name) && !isThere(join(dirname(file), name)));
}

/** Lines of comments that are longer than those of code may be. The formatter leaves comments as they are. */
function longComments(file: string): string[] {
  const isLong = (line: string): boolean => line.length > 120 && /^ *(\/\*\*|\* |\/\/)/.test(line);
  return read(file)
    .split("\n")
    .flatMap((line, i) => (isLong(line) ? [`${file}:${i + 1}`] : []));
}

describe("documents", () => {
  it("link to files that exist", () => {
    expect(DOCUMENTS.length).toBeGreaterThan(10);
    expect(DOCUMENTS.flatMap((file) => brokenLinks(file).map((link) => `${file}: ${link}`))).toEqual([]);
  });

  it("keep prose within 120 columns", () => {
    const isFree = (line: string): boolean => /^\s*\||^!\[/.test(line) || !line.trim().includes(" ");
    const longLines = DOCUMENTS.flatMap((file) =>
      prose(read(file))
        .split("\n")
        .filter((line) => line.length > 120 && !isFree(line))
        .map((line) => `${file}: ${line.slice(0, 60)}`),
    );
    expect(longLines).toEqual([]);
  });

  it("name paths that exist", () => {
    // The log names files as they were called then.
    const current = DOCUMENTS.filter((file) => !file.startsWith("docs/log/") && file !== "CHANGELOG.md");
    expect(current.flatMap((file) => missingPaths(file).map((path) => `${file}: ${path}`))).toEqual([]);
  });
});

describe("other files", () => {
  it("name documents that exist", () => {
    const others = FILES.filter((file) => !file.endsWith(".md") && !file.startsWith("test/golden"));
    expect(others.length).toBeGreaterThan(1000);
    expect(others.flatMap((file) => missingDocuments(file).map((path) => `${file}: ${path}`))).toEqual([]);
  });

  it("have comments of at most 120 columns", () => {
    expect(SOURCES.flatMap(longComments)).toEqual([]);
  });

  it("cite documents of this repository in their comments", () => {
    expect(SOURCES.flatMap((file) => missingCitations(file).map((name) => `${file}: ${name}`))).toEqual([]);
  });
});

describe("commit subjects", () => {
  it("have at most 72 columns since the rule", () => {
    // Older ones stay as they are. A shallow clone has only some of them.
    const subjects = execFileSync("git", ["log", "--format=%s", "--since=2026-11-29T00:00:00Z"], {
      cwd: ROOT,
      encoding: "utf8",
    });
    expect(subjects.split("\n").filter((subject) => subject.length > 72)).toEqual([]);
  });
});
