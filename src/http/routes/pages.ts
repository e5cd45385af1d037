/** The pages: `/` to try a model, `/docs` to read the API, and the files below `/web/` that they load. */
import { z } from "@hono/zod-openapi";
import { AppError } from "../../errors.ts";
import { matchesTag } from "../adapters/adapter-json.ts";
import type { RequestContext } from "../context.ts";
import { pageFiles } from "../page-files.ts";
import { jsonResponses, type Route } from "../route.ts";

const tags = ["Pages"];
const fileContent = Object.fromEntries(
  ["text/css", "text/javascript", "image/svg+xml"].map((type) => [type, { schema: z.string() }]),
);
const html = { 200: { description: "HTML.", content: { "text/html": { schema: z.string() } } } };

/** `/`, `/docs` and `/web/{file}`. */
export const pageRoutes: readonly Route[] = [
  {
    method: "get",
    path: "/",
    scope: "none",
    document: { summary: "A page to try the models", tags, responses: html },
    handle: (_, c) => sendFile(c),
  },
  {
    method: "get",
    path: "/docs",
    scope: "none",
    document: { summary: "A page that shows this API", tags, responses: html },
    handle: (_, c) => sendFile(c),
  },
  {
    method: "get",
    path: "/web/:file{.+}",
    scope: "none",
    document: {
      summary: "A style, script or picture of the pages",
      tags,
      request: { params: z.object({ file: z.string().openapi({ param: { name: "file", in: "path" } }) }) },
      responses: { ...jsonResponses("", z.string()), 200: { description: "The file.", content: fileContent } },
    },
    handle: (_, c) => sendFile(c),
  },
];

/** @throws {AppError} not_found */
function sendFile(c: RequestContext): Response {
  const file = pageFiles().get(c.req.path);
  if (!file) throw new AppError("not_found", `The pages have no file ${c.req.path.slice(0, 200)}. GET / is the page.`);
  const isCurrent = matchesTag(c.req.header("if-none-match"), file.etag);
  return isCurrent ? c.body(null, 304, { ...file.headers }) : c.body(file.text, 200, { ...file.headers });
}
