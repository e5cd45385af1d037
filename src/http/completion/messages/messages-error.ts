/** Errors in the shape of Anthropic's API. The type follows from our code. The error also has `code` and `param`. */
import { ERRORS } from "../../error-table.ts";
import type { ErrorBody } from "../../error-response.ts";

type ErrorType =
  | "invalid_request_error"
  | "authentication_error"
  | "permission_error"
  | "not_found_error"
  | "conflict_error"
  | "request_too_large"
  | "rate_limit_error"
  | "timeout_error"
  | "overloaded_error"
  | "api_error";

const TYPE_OF_STATUS: Readonly<Record<number, ErrorType>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  409: "conflict_error",
  413: "request_too_large",
  429: "rate_limit_error",
  500: "api_error",
  503: "overloaded_error",
  504: "timeout_error",
  507: "api_error",
};

/** The body of a response, and the last event of a failed stream. @param requestId null in an event */
export function messagesError({ code, message, param }: ErrorBody["error"], requestId: string | null): object {
  const type = TYPE_OF_STATUS[ERRORS[code].status] ?? "invalid_request_error";
  return {
    type: "error",
    // Anthropic's clients then send the whole conversation.
    error: { type, message, code, param, ...(code === "thread_not_found" ? { details: { error_code: code } } : {}) },
    ...(requestId === null ? {} : { request_id: requestId }),
  };
}
