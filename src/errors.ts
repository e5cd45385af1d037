/**
 * The errors a caller can act on, and how they cross the process boundary. One class, one closed list of codes
 * (docs/reference/errors.md): clients and tests compare the code, never the message. A failure that no caller can act
 * on is a bug. For those, throw a plain `Error` whose message starts with "internal:". Messages show what came from
 * outside by `quote`.
 */

/** Every stable error code. `http/error-response.ts` maps each one to a status. */
export const ERROR_CODES = [
  "adapter_not_found",
  "model_not_found",
  "adapter_invalid",
  "adapter_incompatible",
  "adapter_too_large",
  "store_failed",
  "store_unavailable",
  "store_damaged",
  "store_read_only",
  "precondition_unsupported",
  "adapter_unknown",
  "ambiguous_generation",
  "generation_in_use",
  "alias_not_found",
  "name_in_use",
  "verification_failed",
  "receipt_invalid",
  "response_not_found",
  "thread_not_found",
  "file_not_found",
  "job_not_found",
  "training_disabled",
  "precondition_failed",
  "not_mergeable",
  "not_live",
  "not_blendable",
  "insufficient_memory",
  "context_length_exceeded",
  "invalid_request",
  "unsupported_parameter",
  "invalid_api_key",
  "insufficient_scope",
  "origin_not_allowed",
  "host_not_allowed",
  "unsupported_media_type",
  "rate_limit_exceeded",
  "quota_exceeded",
  "deadline_exceeded",
  "request_too_large",
  "not_found",
  "method_not_allowed",
  "internal_error",
  "overloaded",
  "engine_unavailable",
  // Codes that only the command line uses. Over HTTP they are internal errors.
  "usage",
  "device_unavailable",
  "checkpoint_invalid",
  "checkpoint_unsupported",
  "base_invalid",
  "data_invalid",
  "training_failed",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** Extra facts of an error that travel with it; plain data only. `param` names the offending request field. */
export interface ErrorDetails {
  readonly param?: string;
  readonly retryAfterSeconds?: number;
}

/** An error as data, for messages between processes. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails;
}

/** Greatest number of characters of a message. Those of libraries may repeat a whole input. */
const MAX_MESSAGE = 2000;
/** Of a longer message: of its beginning and of its end, which says what to do. */
const KEPT_HEAD = 1400;
const KEPT_TAIL = 500;

/**
 * A failure that a caller can act on. The message says what was expected, what was found, and what to do. The middle of
 * a message of more than 2,000 characters is left out.
 */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: ErrorOptions & ErrorDetails = {}) {
    const { cause, ...details } = options;
    super(shortened(message), cause === undefined ? undefined : { cause });
    this.name = "AppError";
    this.code = code;
    this.details = details;
  }
}

function shortened(message: string): string {
  if (message.length <= MAX_MESSAGE) return message;
  const numLeftOut = message.length - KEPT_HEAD - KEPT_TAIL;
  return `${message.slice(0, KEPT_HEAD)} … (${numLeftOut} characters left out) … ${message.slice(-KEPT_TAIL)}`;
}

/** An error as plain data. Anything but an `AppError` becomes `internal_error`; its message is kept for the log. */
export function toWire(error: unknown): WireError {
  if (error instanceof AppError) return { code: error.code, message: error.message, details: error.details };
  return { code: "internal_error", message: error instanceof Error ? error.message : String(error), details: {} };
}

/** Rebuilds the error that `toWire` converted to data in the other process. */
export function fromWire(wire: WireError): AppError {
  return new AppError(wire.code, wire.message, wire.details);
}

/** Greatest number of characters of a quote. Names that are allowed anywhere are shorter. */
const MAX_QUOTE = 200;
/** Of a list or an object, and how many of them within each other. */
const MAX_QUOTED_ITEMS = 8;
const MAX_QUOTED_DEPTH = 3;

/**
 * A value from outside for an error message: as JSON, cut to a length that fits. Nothing is assumed of the value: it
 * may be nested to any depth, have any size, and hold what JSON cannot. Never throws.
 */
export function quote(value: unknown): string {
  if (typeof value === "string") return quoteText(value);
  return cut(show(value, MAX_QUOTED_DEPTH));
}

function quoteText(text: string): string {
  return JSON.stringify(cut(text));
}

function show(value: unknown, depth: number): string {
  if (typeof value === "string") return quoteText(value);
  if (typeof value !== "object" || value === null) return String(value);
  if (ArrayBuffer.isView(value)) return "binary";
  if (Array.isArray(value)) return `[${list(value, (item) => show(item, depth - 1), depth)}]`;
  return `{${list(Object.entries(value), ([key, item]) => `${quoteText(key)}:${show(item, depth - 1)}`, depth)}}`;
}

function list<T>(items: readonly T[], showItem: (item: T) => string, depth: number): string {
  if (items.length > 0 && depth === 0) return "…";
  const shown = items.slice(0, MAX_QUOTED_ITEMS).map(showItem);
  return [...shown, ...(items.length > MAX_QUOTED_ITEMS ? ["…"] : [])].join(",");
}

/** The parts of a zod issue that a message is made of. */
interface SchemaIssue {
  readonly code?: string | undefined;
  readonly path: readonly PropertyKey[];
  readonly message: string;
  /** With the code `unrecognized_keys`. */
  readonly keys?: readonly string[];
}

/**
 * Where a schema has found a fault, such as `keys.0.scopes`, and what it is. The names of fields come from outside, so
 * they are cut like other values.
 */
export function describeIssue(issue: SchemaIssue | undefined): { readonly path: string; readonly what: string } {
  if (!issue) return { path: "", what: "is not valid" };
  const path = issue.path.map((key) => cut(String(key))).join(".");
  if (!issue.keys) return { path, what: issue.message };
  const shown = issue.keys.slice(0, MAX_QUOTED_ITEMS).map(quoteText);
  const more = issue.keys.length - shown.length;
  return { path, what: `has the unknown field ${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}` };
}

function cut(text: string): string {
  return text.length <= MAX_QUOTE ? text : `${text.slice(0, MAX_QUOTE)}…`;
}
