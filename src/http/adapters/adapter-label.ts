/** The names of adapters in the metrics. */
import type { KeyRing } from "../../keys/key-ring.ts";
import type { AdapterLabel } from "../../metrics/metric-spec.ts";
import type { OwnedName } from "../../store/tenant.ts";

/** The owner is a label only where there are several tenants, so that a server with one keeps its series. */
export function adapterLabel({ hasTenants }: Pick<KeyRing, "hasTenants">, { tenant, name }: OwnedName): AdapterLabel {
  return hasTenants ? { name, tenant } : { name };
}
