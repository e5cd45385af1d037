/**
 * The files of `src/web` as they are sent: two pages, and the styles, scripts and pictures below `/web/`. Read once,
 * when the application is made. A browser asks each time whether its copy is current, so an upgrade needs no new file
 * names.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname, join, sep } from "node:path";
import { programPath } from "../program-files.ts";

const ROOT = programPath("web");

/** Files with other endings, such as the compiler's settings, are not served. */
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

const PAGES: Readonly<Record<string, string>> = { "index.html": "/", "docs.html": "/docs" };

/** Nothing from other sites, nothing inline, no frame around it, and no text that becomes markup. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

export interface PageFile {
  readonly text: string;
  /** Strong entity tag of the text. */
  readonly etag: string;
  readonly headers: Readonly<Record<string, string>>;
}

let files: ReadonlyMap<string, PageFile> | undefined;

/** Every file by the path of its URL. */
export function pageFiles(): ReadonlyMap<string, PageFile> {
  files ??= new Map(
    readdirSync(ROOT, { recursive: true, encoding: "utf8" })
      .map((name) => name.split(sep).join("/"))
      .filter((name) => TYPES[extname(name)] !== undefined)
      .map((name) => [PAGES[name] ?? `/web/${name}`, readPageFile(name)]),
  );
  return files;
}

function readPageFile(name: string): PageFile {
  const text = readFileSync(join(ROOT, name), "utf8");
  const etag = `"${createHash("sha256").update(text).digest("hex").slice(0, 32)}"`;
  return {
    text,
    etag,
    headers: {
      "content-type": TYPES[extname(name)] ?? "",
      "content-security-policy": POLICY,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-cache",
      etag,
    },
  };
}
