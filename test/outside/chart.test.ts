/** The Helm chart, rendered by Helm's SDK and checked with Kubernetes' own schemas. No cluster has run it. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { parseCommand } from "../../src/config/parse.ts";
import { tempDir } from "../helpers/server.ts";

vi.setConfig({ testTimeout: 60_000 });
const CHART = join(packageRoot(), "deploy", "helm", "mosara");
/** The oldest version that Chart.yaml accepts, and the newest that the schemas have. */
const VERSIONS = ["1.30.0", "1.37.0"];
const EVERYTHING = {
  autoscaling: { enabled: true },
  serviceMonitor: { enabled: true, labels: { release: "prometheus" } },
  networkPolicy: { enabled: true, from: [{ namespaceSelector: {} }], egress: [{ ports: [{ port: 6379 }] }] },
  inferencePool: { enabled: true },
  adapters: { existingClaim: "adapters" },
  model: { existingClaim: "models", path: "/models/base" },
  keys: { existingSecret: "keys" },
  persistence: { enabled: false },
  podLabels: { team: "models" },
  podAnnotations: { note: "none" },
  env: [{ name: "MOSARA_LOG_LEVEL", value: "warn" }],
};

const python = process.env.MOSARA_CHART_PYTHON;
if (python === undefined)
  process.stderr.write("the Helm chart: left out, MOSARA_CHART_PYTHON names no Python with helm-python-sdk\n");

interface Manifest {
  readonly kind: string;
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: { readonly template?: { readonly spec: PodSpec } };
}
interface PodSpec {
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly { readonly lifecycle: { readonly preStop: { readonly sleep: { seconds: number } } } }[];
}
interface Rendered {
  readonly lint: { readonly errors: string[]; readonly messages: { readonly severity: number }[] };
  readonly manifests: readonly { readonly content: Manifest; readonly verdicts: Record<string, string | null> }[];
}

function render(values: object): Rendered {
  const script = join(packageRoot(), "test", "outside", "render_chart.py");
  const input = JSON.stringify(values);
  const { stdout, stderr } = spawnSync(python ?? "", [script, CHART, ...VERSIONS], { input, encoding: "utf8" });
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout) as Rendered;
}

describe.skipIf(python === undefined)("the Helm chart", () => {
  it.each([
    ["by default", {}, 6],
    ["with everything", EVERYTHING, 11],
  ])("%s has manifests that Kubernetes' schemas accept", (_, values, count) => {
    const { lint, manifests } = render(values);
    expect([lint.errors, lint.messages.filter(({ severity }) => severity > 1)]).toEqual([[], []]);
    expect(manifests).toHaveLength(count);
    for (const { content, verdicts } of manifests) {
      // Kubernetes itself has no schema of these: they are other projects' resources.
      const isForeign = ["InferencePool", "ServiceMonitor"].includes(content.kind);
      expect([content.kind, Object.values(verdicts)]).toEqual([
        content.kind,
        VERSIONS.map(() => (isForeign ? null : "valid")),
      ]);
    }
  });

  it("is judged by schemas that know a wrong value", () => {
    const { manifests } = render({ replicas: "three", podDisruptionBudget: { enabled: true, maxUnavailable: [] } });
    const verdictOf = (kind: string) => manifests.find(({ content }) => content.kind === kind)?.verdicts["1.37.0"];
    expect(verdictOf("StatefulSet")).toContain("spec.replicas");
    expect(verdictOf("PodDisruptionBudget")).toContain("spec.maxUnavailable");
  });

  it("gives the server settings that it accepts, and time to finish after the load balancers know", () => {
    const contents = render(EVERYTHING).manifests.map(({ content }) => content);
    const file = join(tempDir(), "mosara.yaml");
    writeFileSync(file, contents.find(({ data }) => data?.["mosara.yaml"])?.data?.["mosara.yaml"] ?? "");
    const { model, adapters, keys, publicMetrics, shutdownTimeout } = parseCommand("serve", ["--config", file], {});
    expect([model, adapters, keys, publicMetrics]).toEqual([
      "/models/base",
      "/adapters",
      "/etc/mosara-keys/keys.json",
      true,
    ]);
    const pod = contents.find(({ kind }) => kind === "StatefulSet")?.spec?.template?.spec;
    const preStop = pod?.containers[0]?.lifecycle.preStop.sleep.seconds ?? NaN;
    expect(pod?.terminationGracePeriodSeconds).toBeGreaterThan(preStop + shutdownTimeout);
  });
});
