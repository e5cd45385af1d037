/**
 * Errors in the shape that clients see: OpenAI's, or on the Messages routes Anthropic's. SGLang's and Dynamo's routes
 * have their fields beside OpenAI's object. `error-table.ts` has the status of each code. Knows nothing of the cause.
 * An error that no client can act on is sent as `internal_error` without details. The log has its details under the
 * request's id.
 */
import { AppError, type ErrorCode } from "../errors.ts";
import { messagesError } from "./completion/messages/messages-error.ts";
import { ERRORS } from "./error-table.ts";
import type { AppContext, RequestContext } from "./context.ts";

/** The body of an error response, and of the last event of a failed stream. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: "invalid_request_error" | "rate_limit_error" | "server_error";
    readonly param: string | null;
    readonly code: ErrorCode;
  };
}

/** An error as OpenAI's object. The messages of internal failures are not sent. */
export function toErrorBody(error: unknown): ErrorBody {
  const known = error instanceof AppError && ERRORS[error.code].status !== 500 ? error : undefined;
  if (!known) {
    const message =
      "The server failed to answer. Its log has the reason, under the request id of the x-request-id header.";
    return { error: { message, type: "server_error", param: null, code: "internal_error" } };
  }
  const status = ERRORS[known.code].status;
  const type = status === 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
  return { error: { message: known.message, type, param: known.details.param ?? null, code: known.code } };
}

/** The response for a failure. Logs the details that the caller does not receive. */
export function errorResponse(context: AppContext, c: RequestContext, error: unknown): Response {
  const body = toErrorBody(error);
  const status = ERRORS[body.error.code].status;
  c.get("record").errorCode = body.error.code;
  // When a client has disconnected, reading its body fails. This answer is never read.
  if ((status === 500 || status === 507) && !c.req.raw.signal.aborted) logFailure(context, c, error);
  if (body.error.code === "overloaded") context.metrics.recordRefusal();
  if (status === 503 || status === 429) {
    const seconds = (error instanceof AppError ? error.details.retryAfterSeconds : undefined) ?? 1;
    c.header("retry-after", String(Math.max(1, Math.ceil(seconds))));
  }
  if (!isMessagesPath(c.req.path)) return c.json({ ...foreignFields(c.req.path, body.error.message), ...body }, status);
  c.header("request-id", c.get("requestId"));
  return c.json(messagesError(body.error, c.get("requestId")), status);
}

/** Anthropic's clients read errors only in Anthropic's shape. */
function isMessagesPath(path: string): boolean {
  return path === "/v1/messages" || path.startsWith("/v1/messages/");
}

/** The fields in which clients of SGLang and Dynamo look for the reason. */
function foreignFields(path: string, message: string): object {
  if (path === "/load_lora_adapter" || path === "/unload_lora_adapter")
    return { success: false, error_message: message, loaded_adapters: {} };
  return path === "/v1/loras" || path.startsWith("/v1/loras/") ? { status: "error", message } : {};
}

/** Logs a failure that the operator must see, with the request's id. */
export function logFailure({ log }: AppContext, c: RequestContext, error: unknown): void {
  log.error({ err: error, requestId: c.get("requestId"), method: c.req.method, path: c.req.path }, "request failed");
}

/** `invalid_request` about one field. */
export function invalid(message: string, param?: string): AppError {
  return new AppError("invalid_request", message, param === undefined ? {} : { param });
}
