/** docs/reference/metrics.md, made from the table of metrics. */
import { METRICS } from "./table.ts";

/** The page's text. */
export function metricsDocument(): string {
  const rows = METRICS.map(
    (spec) =>
      `| \`${spec.name}\` | ${spec.type} | ${spec.labels.map((label) => `\`${label}\``).join(" ")} | ${spec.help} |`,
  );
  const intro = `\`scripts/make-docs.ts\` makes this page from the table in \`src/metrics/table.ts\`. A test fails when they differ.
\`GET /metrics\` also has prom-client's process metrics.`;
  return `# Metrics\n\n${intro}\n\n| name | type | labels | |\n|---|---|---|---|\n${rows.join("\n")}\n`;
}
