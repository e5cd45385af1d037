/** The Helm chart, rendered by Helm's SDK and checked with Kubernetes' own schemas. No cluster has run it. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { packageRoot } from "../../src/cli/shared/package-root.ts";
import { parseCommand } from "../../src/config/parse.ts";
import { s3Settings } from "../../src/object-store/s3-settings.ts";
import { tempDir } from "../helpers/server.ts";

vi.setConfig({ hookTimeout: 120_000 });
const CHART = join(packageRoot(), "deploy", "helm", "mosara");
/** The oldest version that Chart.yaml accepts, and the newest that the schemas have. */
const VERSIONS = ["1.30.0", "1.37.0"];
const ROLE = "arn:aws:iam::123456789012:role/adapters";
const STS = "https://sts.example";
const EVERYTHING = {
  autoscaling: { enabled: true },
  serviceMonitor: { enabled: true, labels: { release: "prometheus" } },
  networkPolicy: { enabled: true, from: [{ namespaceSelector: {} }], egress: [{ ports: [{ port: 6379 }] }] },
  inferencePool: { enabled: true },
  adapters: { existingClaim: "adapters" },
  model: { existingClaim: "models", path: "/models/base" },
  store: { url: "s3://adapters/prod", region: "eu-central-1", webIdentity: { roleArn: ROLE, endpoint: STS } },
  serviceAccount: { annotations: { "eks.amazonaws.com/role-arn": ROLE } },
  keys: { existingSecret: "keys" },
  persistence: { enabled: false },
  podLabels: { team: "models" },
  podAnnotations: { note: "none" },
  env: [{ name: "MOSARA_LOG_LEVEL", value: "warn" }],
};

const BUCKET = { store: { url: "s3://adapters", endpoint: "https://minio.example", existingSecret: "bucket" } };
const DIRECTORY = { store: { existingClaim: "shared" } };

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
  readonly containers: readonly {
    readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: object }[];
    readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
    readonly lifecycle: { readonly preStop: { readonly sleep: { seconds: number } } };
  }[];
  readonly volumes: readonly { readonly name: string }[];
}
interface Rendered {
  /** Helm's message, where the chart refuses the values. Then there is nothing else. */
  readonly refusal?: string;
  readonly lint: { readonly errors: string[]; readonly messages: { readonly severity: number }[] };
  readonly manifests: readonly { readonly content: Manifest; readonly verdicts: Record<string, string | null> }[];
}

const VALUES = {
  plain: {},
  everything: EVERYTHING,
  bucket: BUCKET,
  directory: DIRECTORY,
  wrong: { replicas: "three", podDisruptionBudget: { enabled: true, maxUnavailable: [] } },
  twoStores: { store: { ...BUCKET.store, ...DIRECTORY.store } },
  twoCredentials: { store: { ...BUCKET.store, webIdentity: { roleArn: ROLE } } },
};
let charts: Readonly<Record<keyof typeof VALUES, Rendered>>;
/** In one process: its start takes longer than all renderings. */
beforeAll(() => {
  if (python === undefined) return;
  const script = join(packageRoot(), "test", "outside", "render_chart.py");
  const { stdout, stderr } = spawnSync(python, [script, CHART, ...VERSIONS], {
    input: JSON.stringify(VALUES),
    encoding: "utf8",
  });
  if (stdout === "") throw new Error(stderr);
  charts = JSON.parse(stdout) as typeof charts;
});
const podOf = ({ manifests }: Rendered): PodSpec =>
  manifests.find(({ content }) => content.kind === "StatefulSet")?.content.spec?.template?.spec as PodSpec; // always rendered

describe.skipIf(python === undefined)("the Helm chart", () => {
  it.each([
    ["plain", 6],
    ["everything", 11],
    ["bucket", 6],
    ["directory", 6],
  ] as const)("with the values %s has manifests that Kubernetes' schemas accept", (name, count) => {
    const { lint, manifests } = charts[name];
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
    const { manifests } = charts.wrong;
    const verdictOf = (kind: string) => manifests.find(({ content }) => content.kind === kind)?.verdicts["1.37.0"];
    expect(verdictOf("StatefulSet")).toContain("spec.replicas");
    expect(verdictOf("PodDisruptionBudget")).toContain("spec.maxUnavailable");
  });

  it("gives the server its store, and one way to the credentials", () => {
    const envOf = ({ containers }: PodSpec) =>
      Object.fromEntries((containers[0]?.env ?? []).map(({ name, value, valueFrom }) => [name, value ?? valueFrom]));
    const bucket = podOf(charts.bucket);
    const keyRef = (key: string) => ({ secretKeyRef: { name: "bucket", key } });
    expect(envOf(bucket)).toEqual({
      AWS_ENDPOINT_URL_S3: "https://minio.example",
      AWS_ACCESS_KEY_ID: keyRef("AWS_ACCESS_KEY_ID"),
      AWS_SECRET_ACCESS_KEY: keyRef("AWS_SECRET_ACCESS_KEY"),
    });
    // The server itself reads the same variables.
    const identity = podOf(charts.everything);
    const { MOSARA_LOG_LEVEL: _, ...env } = envOf(identity) as Record<string, string>;
    const settings = s3Settings("s3://adapters/prod", env);
    expect(settings).toMatchObject({ region: "eu-central-1", credentials: { roleArn: ROLE, endpoint: STS } });
    const { mountPath } = identity.containers[0]?.volumeMounts.find(({ name }) => name === "store-token") ?? {};
    expect(env.AWS_WEB_IDENTITY_TOKEN_FILE).toBe(`${mountPath}/token`);
    expect(identity.volumes).toContainEqual({
      name: "store-token",
      projected: { sources: [{ serviceAccountToken: { path: "token", audience: "sts.amazonaws.com" } }] },
    });
    const directory = podOf(charts.directory);
    expect(directory.containers[0]?.volumeMounts).toContainEqual({ name: "store", mountPath: "/store" });
    expect(directory.volumes).toContainEqual({ name: "store", persistentVolumeClaim: { claimName: "shared" } });
    expect(charts.twoStores.refusal).toContain("store.url and store.existingClaim are both set");
    expect(charts.twoCredentials.refusal).toContain("store.existingSecret and store.webIdentity.roleArn are both set");
  });

  it("gives the server settings that it accepts, and time to finish after the load balancers know", () => {
    const contents = charts.everything.manifests.map(({ content }) => content);
    const file = join(tempDir(), "mosara.yaml");
    writeFileSync(file, contents.find(({ data }) => data?.["mosara.yaml"])?.data?.["mosara.yaml"] ?? "");
    const { model, adapters, store, keys, publicMetrics, shutdownTimeout } = parseCommand(
      "serve",
      ["--config", file],
      {},
    );
    expect([model, adapters, store, keys, publicMetrics]).toEqual([
      "/models/base",
      "/adapters",
      "s3://adapters/prod",
      "/etc/mosara-keys/keys.json",
      true,
    ]);
    const pod = podOf(charts.everything);
    const preStop = pod.containers[0]?.lifecycle.preStop.sleep.seconds ?? NaN;
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(preStop + shutdownTimeout);
  });
});
