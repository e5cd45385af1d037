/**
 * Keys. When any key is set, every path needs a key, whether it is a route or not. The only exceptions are routes with
 * the scope `none`. No spelling of a path and no new route can therefore avoid the check. Anthropic's clients send keys
 * as x-api-key. `keys/key-ring.ts` compares the keys.
 */
import type { MiddlewareHandler } from "hono";
import { AppError } from "../../errors.ts";
import type { AccessPolicy } from "../access-policy.ts";
import type { KeyRing } from "../../keys/key-ring.ts";
import type { AppEnv, RequestContext } from "../context.ts";
import { pageFiles } from "../page-files.ts";
import type { Route } from "../route.ts";

/** Sets the variables `caller` and `tenant`. @throws {AppError} invalid_api_key. */
export function auth(
  keys: KeyRing,
  { hasPublicMetrics }: Pick<AccessPolicy, "hasPublicMetrics">,
  routes: readonly Pick<Route, "path" | "scope">[],
): MiddlewareHandler<AppEnv> {
  // Compared with the path that routes are matched by, so that both always agree. The pages contain no data.
  const open = routes.filter(({ scope, path }) => scope === "none" && !path.includes(":"));
  const publicPaths = new Set([
    ...open.map(({ path }) => path),
    ...pageFiles().keys(),
    ...(hasPublicMetrics ? ["/metrics"] : []),
  ]);
  return async (c, next) => {
    let caller = keys.operator;
    if (!keys.isOpen && !publicPaths.has(c.req.path)) {
      const key = presentedKey(c.req.header("authorization"), c.req.method) ?? c.req.header("x-api-key");
      const found = keys.find(key ?? "", Date.now());
      if (key === undefined || found === undefined) throw refusal(c);
      caller = found;
    }
    c.set("caller", caller);
    c.set("tenant", caller.tenant);
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

/** A person who opens this URL in a browser is asked for a key (as the password). */
function refusal(c: RequestContext): AppError {
  const wantsPage = c.req.method === "GET" && (c.req.header("accept") ?? "").includes("text/html");
  c.header("www-authenticate", wantsPage ? 'Basic realm="mosara", charset="UTF-8"' : 'Bearer realm="mosara"');
  return new AppError(
    "invalid_api_key",
    "This server requires a valid API key. The one of this request is missing, unknown or expired. Send it as Authorization: Bearer <key>, or as x-api-key: <key>.",
  );
}
