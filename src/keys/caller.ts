/** Who sends a request and what that caller may do. Knows nothing of HTTP or of how keys are stored. */

/**
 * - use: run models and read adapters
 * - write: add, replace, delete and merge the tenant's adapters
 * - train: run training jobs
 * - metrics: read metrics
 * - admin: also change shared adapters, and see numbers of all tenants
 */
export const SCOPES = ["use", "write", "train", "metrics", "admin"] as const;

export type Scope = (typeof SCOPES)[number];

export interface Caller {
  readonly tenant: string;
  readonly scopes: ReadonlySet<Scope>;
}
