/**
 * Errors as the outside sees them: one table from code to status, one shape (OpenAI's). Knows nothing of what failed;
 * what nobody can act on leaves as `internal_error` without detail, and its story goes to the log under the request's id.
 */
import { AppError, type ErrorCode } from "../errors.ts";
import type { AppContext, RequestContext } from "./context.ts";

const STATUS = {
  adapter_not_found: 404,
  model_not_found: 404,
  adapter_invalid: 400,
  adapter_incompatible: 400,
  adapter_too_large: 413,
  precondition_failed: 412,
  not_mergeable: 409,
  not_live: 409,
  insufficient_memory: 409,
  context_length_exceeded: 400,
  invalid_request: 400,
  unsupported_parameter: 400,
  invalid_api_key: 401,
  origin_not_allowed: 403,
  host_not_allowed: 403,
  unsupported_media_type: 415,
  rate_limit_exceeded: 429,
  deadline_exceeded: 504,
  request_too_large: 413,
  not_found: 404,
  method_not_allowed: 405,
  internal_error: 500,
  overloaded: 503,
  engine_unavailable: 503,
  // Errors of the command line: over HTTP they are bugs.
  usage: 500,
  device_unavailable: 500,
  checkpoint_invalid: 500,
  checkpoint_unsupported: 500,
  base_invalid: 500,
  data_invalid: 500,
  training_failed: 500,
} as const satisfies Record<ErrorCode, number>;

/** The body of an error response, and of the last event of a stream that failed. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: "invalid_request_error" | "rate_limit_error" | "server_error";
    readonly param: string | null;
    readonly code: ErrorCode;
  };
}

/** An error as OpenAI's object. Internal failures keep their message to themselves. */
export function toErrorBody(error: unknown): ErrorBody {
  const known = error instanceof AppError && STATUS[error.code] !== 500 ? error : undefined;
  if (!known) {
    const message =
      "The server failed to answer. The request id in the x-request-id header finds the reason in its log.";
    return { error: { message, type: "server_error", param: null, code: "internal_error" } };
  }
  const status = STATUS[known.code];
  const type = status === 429 ? "rate_limit_error" : status >= 500 ? "server_error" : "invalid_request_error";
  return { error: { message: known.message, type, param: known.details.param ?? null, code: known.code } };
}

/** The response for a failure; logs what the caller is not told. */
export function errorResponse(context: AppContext, c: RequestContext, error: unknown): Response {
  const body = toErrorBody(error);
  const status = STATUS[body.error.code];
  // A client that has gone makes reading its body fail; nobody reads this answer.
  if (status === 500 && !c.req.raw.signal.aborted) logFailure(context, c, error);
  if (body.error.code === "overloaded") context.metrics.recordRefusal();
  if (status === 503 || status === 429) {
    const seconds = (error instanceof AppError ? error.details.retryAfterSeconds : undefined) ?? 1;
    c.header("retry-after", String(Math.max(1, Math.ceil(seconds))));
  }
  return c.json(body, status);
}

/** Writes a failure that has no code to the log, with the request's id. */
export function logFailure({ log }: AppContext, c: RequestContext, error: unknown): void {
  log.error({ err: error, requestId: c.get("requestId"), method: c.req.method, path: c.req.path }, "request failed");
}

/** `invalid_request` about one field. */
export function invalid(message: string, param?: string): AppError {
  return new AppError("invalid_request", message, param === undefined ? {} : { param });
}
