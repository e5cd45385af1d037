/** The pages: `/` to try a model, `/docs` to read the API. Plain files beside the code, with no script from other sites. */
import { readFileSync } from "node:fs";
import { z } from "@hono/zod-openapi";
import type { Route } from "../route.ts";

const PAGES = { "/": "index.html", "/docs": "docs.html" } as const;

const HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy":
    "default-src 'none'; connect-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};

/** Both pages, read once. */
export function pageRoutes(): Route[] {
  return Object.entries(PAGES).map(([path, file]) => {
    const html = readFileSync(new URL(`../../web/${file}`, import.meta.url), "utf8");
    return {
      method: "get",
      path,
      document: {
        summary: path === "/" ? "A page to try the models" : "A page that shows this document",
        tags: ["Pages"],
        responses: { 200: { description: "HTML.", content: { "text/html": { schema: z.string() } } } },
      },
      handle: (_, c) => c.body(html, 200, HEADERS),
    };
  });
}
