/** Reads the multipart form of an upload. */
import { AppError, quote } from "../../errors.ts";
import type { RequestContext } from "../context.ts";
import { invalid } from "../error-response.ts";
import { readBody } from "../request/read-body.ts";

export interface Upload {
  readonly filename: string;
  readonly content: Uint8Array;
}

/** Bytes of a form besides the file. */
const FORM_BYTES = 65_536;
const MAX_NAME = 255;
const FIELDS = ["file", "purpose"];

/** @throws {AppError} invalid_request, request_too_large, unsupported_parameter. */
export async function readUpload(c: RequestContext, maxBytes: number): Promise<Upload> {
  const tooLarge = () =>
    new AppError("request_too_large", `The file is larger than the ${maxBytes} bytes that this server accepts.`, {
      param: "file",
    });
  const type = c.req.header("content-type") ?? "";
  if (!/^multipart\/form-data\b/i.test(type))
    throw new AppError(
      "unsupported_media_type",
      "Send the file as multipart/form-data, with the fields file and purpose.",
    );
  const body = await readBody(c, maxBytes + FORM_BYTES, tooLarge);
  const form = await new Response(Buffer.from(body), { headers: { "content-type": type } }).formData().catch(() => {
    throw invalid("The body is not a valid multipart form.");
  });
  for (const name of form.keys()) {
    if (form.getAll(name).length > 1)
      throw invalid(`The form has ${quote(name)} more than once. Send one file in a request.`, name);
    if (!FIELDS.includes(name))
      throw new AppError("unsupported_parameter", `The form field ${quote(name)} is not supported.`, {
        param: name,
      });
  }
  const purpose = form.get("purpose");
  if (purpose !== "fine-tune")
    throw invalid(
      `"purpose" is ${typeof purpose === "string" ? quote(purpose) : "missing"}, expected "fine-tune".`,
      "purpose",
    );
  const file = form.get("file");
  if (!(file instanceof File)) throw invalid('"file" is missing. Send a file of JSON lines.', "file");
  if (file.size === 0) throw invalid("The file is empty. Send one JSON object a line.", "file");
  if (file.size > maxBytes) throw tooLarge();
  return { filename: file.name.slice(0, MAX_NAME), content: new Uint8Array(await file.arrayBuffer()) };
}
