/**
 * Prevents pages of other sites from using a visitor's browser against this server. A browser sends the page's origin
 * with a request. A request without an origin, such as from curl or an SDK, passes. Keys are checked elsewhere.
 */
import type { MiddlewareHandler } from "hono";
import { AppError, quote } from "../../errors.ts";
import { type AccessPolicy, isAllowedOrigin, isOwnHost } from "../access-policy.ts";
import type { AppEnv, RequestContext } from "../context.ts";

const READING: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
/** Content types that no form can send. Each of them needs a preflight. */
const BODY_TYPES: ReadonlySet<string> = new Set([
  "application/json",
  "application/octet-stream",
  "application/msgpack",
  "application/vnd.msgpack",
  "application/x-msgpack",
]);
/** Headers of answers that a page may read. */
const EXPOSED_HEADERS = [
  "x-request-id",
  "x-mosara-receipt",
  "x-mosara-adapter",
  ...["requests", "tokens"].flatMap((kind) =>
    ["limit", "remaining", "reset"].map((what) => `x-ratelimit-${what}-${kind}`),
  ),
  "etag",
  "retry-after",
].join(", ");
const PREFLIGHT_SECONDS = "600";
const DEFAULT_HEADERS =
  "authorization, content-type, if-match, if-none-match, x-api-key, anthropic-version, x-request-id, x-request-timeout-ms";

/** @throws {AppError} host_not_allowed, origin_not_allowed, unsupported_media_type. */
export function browserGuard(policy: AccessPolicy): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const host = c.req.header("host");
    if (!isOwnHost(policy, host)) throw unknownHost(host ?? "");
    const origin = c.req.header("origin");
    const isAllowed = origin === undefined || isAllowedOrigin(policy, origin, host);
    // Errors have these headers too, so that an allowed page can read the error.
    const corsHeaders = corsHeadersFor(policy, origin, isAllowed);
    for (const [name, value] of corsHeaders) c.header(name, value);
    const isPreflight = c.req.method === "OPTIONS" && c.req.header("access-control-request-method") !== undefined;
    if (!READING.has(c.req.method)) checkChange(c, isAllowed);
    if (isPreflight && !isAllowed) throw foreignOrigin(origin);
    if (isPreflight) c.res = c.body(null, 204, preflightHeaders(c));
    else await next();
    for (const [name, value] of corsHeaders) c.res.headers.set(name, value);
  };
}

function corsHeadersFor(policy: AccessPolicy, origin: string | undefined, isAllowed: boolean): [string, string][] {
  const vary: [string, string][] = policy.corsOrigins.length > 0 ? [["vary", "origin"]] : [];
  if (origin === undefined || !isAllowed) return vary;
  return [...vary, ["access-control-allow-origin", origin], ["access-control-expose-headers", EXPOSED_HEADERS]];
}

/** A browser's change must come from an allowed page, with a content type that no form can send. */
function checkChange(c: RequestContext, isAllowed: boolean): void {
  const origin = c.req.header("origin");
  const site = c.req.header("sec-fetch-site");
  if (!isAllowed) throw foreignOrigin(origin);
  if (origin === undefined && site === undefined) return; // no browser
  if (origin === undefined && (site === "cross-site" || site === "same-site")) throw foreignOrigin(undefined);
  const hasBody = Number(c.req.header("content-length") ?? 0) > 0 || c.req.header("transfer-encoding") !== undefined;
  const type = c.req.header("content-type")?.split(";")[0]?.trim().toLowerCase();
  if (!hasBody || (type !== undefined && BODY_TYPES.has(type))) return;
  throw new AppError(
    "unsupported_media_type",
    `The body has Content-Type ${quote(type?.slice(0, 80) ?? "none")}. A page must send application/json, or application/octet-stream for an adapter.`,
  );
}

function preflightHeaders(c: RequestContext): Record<string, string> {
  const wanted = c.req.header("access-control-request-headers") ?? "";
  const isSane = /^[\w!#$%&'*+.^`|~-]+(\s*,\s*[\w!#$%&'*+.^`|~-]+)*$/.test(wanted);
  return {
    "access-control-allow-methods": "GET, HEAD, POST, PUT, DELETE",
    "access-control-allow-headers": isSane ? wanted : DEFAULT_HEADERS,
    "access-control-max-age": PREFLIGHT_SECONDS,
    ...(c.req.header("access-control-request-private-network") === "true"
      ? { "access-control-allow-private-network": "true" }
      : {}),
  };
}

function foreignOrigin(origin: string | undefined): AppError {
  const page = origin === undefined ? "another site" : JSON.stringify(origin.slice(0, 200));
  return new AppError(
    "origin_not_allowed",
    `The request comes from a page of ${page}, which may not call this server. Start the server with --cors-origin <origin> to allow that page.`,
  );
}

function unknownHost(host: string): AppError {
  return new AppError(
    "host_not_allowed",
    `The request is addressed to ${quote(host)}, which is not a name of this server. Start the server with --allowed-host <name> to accept a name, such as a proxy's.`,
  );
}
