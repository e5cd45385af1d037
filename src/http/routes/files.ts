/** /v1/files: training data, and the results of jobs. A tenant sees only its own. */
import { readFile } from "node:fs/promises";
import { z } from "@hono/zod-openapi";
import { fileJson, fileSchema } from "../fine-tuning/file-json.ts";
import { listOf, pageOf, pageQuery } from "../fine-tuning/list-page.ts";
import { fileOf, trainingOf } from "../fine-tuning/training.ts";
import { readUpload } from "../fine-tuning/upload.ts";
import { parseRequest } from "../request/parse-request.ts";
import { errorResponses, jsonResponses, type Route } from "../route.ts";

const tags = ["Fine-tuning"];
const params = z.object({ id: z.string().openapi({ param: { name: "id", in: "path" } }) });
const binary = z.string().openapi({ format: "binary" });

const listQuery = pageQuery(10_000, 10_000).extend({
  order: z.enum(["asc", "desc"]).default("desc"),
  purpose: z.enum(["fine-tune", "fine-tune-results"]).optional(),
});
const deleted = z
  .object({ id: z.string(), object: z.literal("file"), deleted: z.literal(true) })
  .openapi("FileDeleted");

export const fileRoutes: readonly Route[] = [
  {
    method: "post",
    path: "/v1/files",
    scope: "train",
    document: {
      summary: "Upload training data",
      tags,
      request: {
        body: {
          required: true,
          content: {
            "multipart/form-data": { schema: z.object({ file: binary, purpose: z.literal("fine-tune") }) },
          },
        },
      },
      responses: jsonResponses("The file.", fileSchema),
    },
    handle: async (context, c) => {
      const { store } = trainingOf(context);
      const { filename, content } = await readUpload(c, context.limits.maxTrainingFileBytes);
      return c.json(
        fileJson(await store.addFile({ tenant: c.get("tenant"), filename, purpose: "fine-tune" }, content)),
      );
    },
  },
  {
    method: "get",
    path: "/v1/files",
    scope: "train",
    document: {
      summary: "All files",
      tags,
      request: { query: listQuery },
      responses: jsonResponses("The files, newest first.", listOf(fileSchema, "FileList")),
    },
    handle: (context, c) => {
      const { store } = trainingOf(context);
      const { order, purpose, ...range } = parseRequest(listQuery, c.req.query());
      const files = store.files(c.get("tenant")).filter((file) => purpose === undefined || file.purpose === purpose);
      const page = pageOf(order === "asc" ? files.toReversed() : files, range);
      return c.json({ ...page, data: page.data.map(fileJson) });
    },
  },
  {
    method: "get",
    path: "/v1/files/:id",
    scope: "train",
    document: { summary: "One file", tags, request: { params }, responses: jsonResponses("The file.", fileSchema) },
    handle: (context, c) => c.json(fileJson(fileOf(trainingOf(context), c, c.req.param("id") ?? "", "file_id"))),
  },
  {
    method: "get",
    path: "/v1/files/:id/content",
    scope: "train",
    document: {
      summary: "The content of a file",
      tags,
      request: { params },
      responses: {
        200: { description: "The content.", content: { "application/octet-stream": { schema: binary } } },
        ...errorResponses,
      },
    },
    handle: async (context, c) => {
      const training = trainingOf(context);
      const file = fileOf(training, c, c.req.param("id") ?? "", "file_id");
      // Never text/html, so that a report that somebody uploaded cannot run as a page of this server.
      const headers = { "content-type": "application/octet-stream", "content-disposition": "attachment" };
      return c.body(new Uint8Array(await readFile(training.store.pathOf(file))), 200, headers);
    },
  },
  {
    method: "delete",
    path: "/v1/files/:id",
    scope: "train",
    document: {
      summary: "Delete a file",
      tags,
      request: { params },
      responses: jsonResponses(
        "The file and its bytes are gone. A job that has begun keeps its copy to its end.",
        deleted,
      ),
    },
    handle: async (context, c) => {
      const training = trainingOf(context);
      const { id } = fileOf(training, c, c.req.param("id") ?? "", "file_id");
      await training.store.deleteFile(c.get("tenant"), id);
      return c.json({ id, object: "file", deleted: true });
    },
  },
];
