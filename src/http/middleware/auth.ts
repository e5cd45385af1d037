/**
 * Keys. When any key is set, every path except the health checks and the pages needs one, whether it is a route or not.
 * No spelling of a path and no new route can therefore avoid the check. Anthropic's clients send keys as x-api-key.
 * Keys are stored and compared as SHA-256, in constant time.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { AppError } from "../../errors.ts";
import type { AccessPolicy } from "../access-policy.ts";
import type { AppEnv, HashedKey } from "../context.ts";
import { pageFiles } from "../page-files.ts";

/** Compared with the path that routes are matched by, so that both always agree. */
const HEALTH_PATHS = ["/healthz", "/health", "/ping", "/readyz"];
/** The document that the page `/docs` shows. The pages and their files contain no data either; they ask their user for the key. */
const PAGE_PATHS = ["/openapi.json"];

/** A key in its stored form. */
export function hashKey({ tenant, key }: { readonly tenant: string; readonly key: string }): HashedKey {
  return { tenant, sha256: createHash("sha256").update(key).digest() };
}

/** Sets the variable `tenant`: the name of the key, or `default` where no keys are set. @throws {AppError} invalid_api_key. */
export function auth(
  keys: readonly HashedKey[],
  { hasPublicMetrics }: Pick<AccessPolicy, "hasPublicMetrics">,
): MiddlewareHandler<AppEnv> {
  const publicPaths = new Set([
    ...HEALTH_PATHS,
    ...PAGE_PATHS,
    ...pageFiles().keys(),
    ...(hasPublicMetrics ? ["/metrics"] : []),
  ]);
  return async (c, next) => {
    c.set("tenant", "default");
    if (keys.length > 0 && !publicPaths.has(c.req.path)) {
      const key = presentedKey(c.req.header("authorization"), c.req.method) ?? c.req.header("x-api-key");
      const tenant = tenantOf(keys, key);
      if (tenant === undefined) {
        // A person who opens this URL in a browser is asked for a key (as the password).
        const wantsPage = c.req.method === "GET" && (c.req.header("accept") ?? "").includes("text/html");
        c.header("www-authenticate", wantsPage ? 'Basic realm="mosara", charset="UTF-8"' : 'Bearer realm="mosara"');
        throw new AppError(
          "invalid_api_key",
          "This server requires a valid API key. Send it as Authorization: Bearer <key>, or as x-api-key: <key>.",
        );
      }
      c.set("tenant", tenant);
    }
    await next();
  };
}

/** Basic credentials only permit reading, because a browser would also send them with another site's form. */
function presentedKey(header: string | undefined, method: string): string | undefined {
  const bearer = /^Bearer +(\S+)\s*$/i.exec(header ?? "")?.[1];
  if (bearer !== undefined || method !== "GET") return bearer;
  const basic = /^Basic +([A-Za-z0-9+/=]+)\s*$/i.exec(header ?? "")?.[1];
  if (basic === undefined) return undefined;
  const credentials = Buffer.from(basic, "base64").toString("utf8");
  return credentials.slice(credentials.indexOf(":") + 1);
}

/** Compares every key, so that the time does not reveal which key was similar. */
function tenantOf(keys: readonly HashedKey[], key: string | undefined): string | undefined {
  const hash = createHash("sha256")
    .update(key ?? "")
    .digest();
  let tenant: string | undefined;
  for (const candidate of keys) if (timingSafeEqual(candidate.sha256, hash)) tenant ??= candidate.tenant;
  return key === undefined ? undefined : tenant;
}
