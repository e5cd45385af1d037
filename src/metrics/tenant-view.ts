/**
 * The part of the Prometheus text that one tenant may see. Series that name adapters or tenants are kept only where
 * they carry this tenant's label. Totals of the whole server name nobody and stay.
 */

/** Labels whose values are names of adapters or tenants. */
const NAMING = /[{,](?:adapter|adapter_name|running_lora_adapters|tenant)="/;

export function tenantView(text: string, tenant: string): string {
  const own = `tenant="${tenant}"`; // a tenant's name has no character that Prometheus escapes
  const lines = text.split("\n").filter((line) => {
    const labels = line.startsWith("#") ? "" : line.slice(line.indexOf("{"), line.lastIndexOf("}") + 1);
    return !NAMING.test(labels) || labels.includes(`,${own}`) || labels.startsWith(`{${own}`);
  });
  return lines.join("\n");
}
