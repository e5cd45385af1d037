/**
 * Decides who may call the server, apart from keys: which Host headers are its own, which other sites' pages may call
 * it, and whether metrics need a key. Made once from the flags.
 */

export interface AccessPolicy {
  /** --public-metrics. */
  readonly hasPublicMetrics: boolean;
  /** Origins of other sites' pages that may call the API; `*` allows every origin. */
  readonly corsOrigins: readonly string[];
  /** Host names that requests may be addressed to, in lower case, besides those of this machine; null: any. */
  readonly hosts: ReadonlySet<string> | null;
}

export interface AccessOptions {
  readonly host: string;
  readonly allowedHost: readonly string[];
  readonly corsOrigin: readonly string[];
  readonly publicMetrics: boolean;
}

/** Host names are checked if only this machine can connect, or if --allowed-host names some. */
export function accessPolicyOf({ host, allowedHost, corsOrigin, publicMetrics }: AccessOptions): AccessPolicy {
  const isChecked = isLoopback(host.toLowerCase()) || allowedHost.length > 0;
  return {
    hasPublicMetrics: publicMetrics,
    corsOrigins: corsOrigin,
    hosts: isChecked ? new Set([host, ...allowedHost].map((name) => name.toLowerCase())) : null,
  };
}

/** Whether a Host header names this server. A request without one comes from no browser. */
export function isOwnHost({ hosts }: AccessPolicy, header: string | undefined): boolean {
  if (hosts === null || header === undefined) return true;
  const name = header
    .toLowerCase()
    .replace(/:\d*$/, "")
    .replace(/^\[(.*)\]$/, "$1")
    .replace(/\.$/, "");
  return isLoopback(name) || hosts.has(name);
}

/** Whether a page of this origin may call: the server's own, or one that --cors-origin names. */
export function isAllowedOrigin({ corsOrigins }: AccessPolicy, origin: string, host: string | undefined): boolean {
  return corsOrigins.includes("*") || corsOrigins.includes(origin.toLowerCase()) || isSameHost(origin, host);
}

/** The scheme is left out, because it differs behind a proxy that ends TLS. */
function isSameHost(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false;
  const { protocol, host: ofOrigin } = new URL(origin);
  return URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === ofOrigin;
}

function isLoopback(name: string): boolean {
  return name === "localhost" || name.endsWith(".localhost") || name === "::1" || /^127(\.\d{1,3}){3}$/.test(name);
}
