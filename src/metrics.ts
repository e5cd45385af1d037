/**
 * Every metric, declared once as a table, and the few calls that record into it. Names and types: interface.md §4; those of
 * vLLM keep vLLM's names, units and labels. Knows neither the engine nor HTTP: it takes plain numbers.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

interface MetricSpec {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  readonly buckets?: readonly number[];
  /** Label values that exist from the first scrape; default: one series without further labels. */
  readonly initial?: readonly Readonly<Record<string, string>>[];
}

const MODEL = ["model_name"];
const FINISH_REASONS = ["stop", "length", "abort", "error"] as const;
/** Buckets in seconds as vLLM has them, so that its dashboards work. */
const FIRST_TOKEN = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
const BETWEEN_TOKENS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const REQUEST_TIME = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];
const STEP_TIME = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];
const ROWS = [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256];

const each = (label: string, values: readonly string[]) => values.map((value) => ({ [label]: value }));

/** The table that docs/metrics.md is made from. prom-client's process metrics come on top. */
export const METRICS = [
  { name: "vllm:num_requests_running", type: "gauge", help: "Sequences that have a row in the engine.", labels: MODEL },
  { name: "vllm:num_requests_waiting", type: "gauge", help: "Sequences that wait for a row.", labels: MODEL },
  {
    name: "vllm:kv_cache_usage_perc",
    type: "gauge",
    help: "Share of the key-value memory in use, 0 to 1.",
    labels: MODEL,
  },
  {
    name: "vllm:lora_requests_info",
    type: "gauge",
    help: "Adapters of running and of waiting sequences; the value is the unix time of the report.",
    labels: ["max_lora", "running_lora_adapters", "waiting_lora_adapters"],
    initial: [],
  },
  {
    name: "vllm:prompt_tokens_total",
    type: "counter",
    help: "Prompt tokens of sequences that were started.",
    labels: MODEL,
  },
  { name: "vllm:generation_tokens_total", type: "counter", help: "Tokens generated.", labels: MODEL },
  {
    name: "vllm:request_success_total",
    type: "counter",
    help: "Sequences that ended, by reason.",
    labels: [...MODEL, "finished_reason"],
    initial: each("finished_reason", FINISH_REASONS),
  },
  {
    name: "vllm:prefix_cache_queries_total",
    type: "counter",
    help: "Prompt tokens looked up in the prefix cache.",
    labels: MODEL,
  },
  {
    name: "vllm:prefix_cache_hits_total",
    type: "counter",
    help: "Prompt tokens found in the prefix cache.",
    labels: MODEL,
  },
  {
    name: "vllm:time_to_first_token_seconds",
    type: "histogram",
    help: "From the request to its first token.",
    labels: MODEL,
    buckets: FIRST_TOKEN,
  },
  {
    name: "vllm:inter_token_latency_seconds",
    type: "histogram",
    help: "Between two tokens of a sequence.",
    labels: MODEL,
    buckets: BETWEEN_TOKENS,
  },
  {
    name: "vllm:e2e_request_latency_seconds",
    type: "histogram",
    help: "From the request to its end.",
    labels: MODEL,
    buckets: REQUEST_TIME,
  },
  {
    name: "vllm:request_queue_time_seconds",
    type: "histogram",
    help: "Time in the queue.",
    labels: MODEL,
    buckets: REQUEST_TIME,
  },
  {
    name: "vllm:request_prefill_time_seconds",
    type: "histogram",
    help: "Time in prefill.",
    labels: MODEL,
    buckets: REQUEST_TIME,
  },
  {
    name: "vllm:request_decode_time_seconds",
    type: "histogram",
    help: "Time in decoding.",
    labels: MODEL,
    buckets: REQUEST_TIME,
  },
  {
    name: "vllm:request_prompt_tokens",
    type: "histogram",
    help: "Prompt tokens of a sequence.",
    labels: MODEL,
    buckets: COUNTS,
  },
  {
    name: "vllm:request_generation_tokens",
    type: "histogram",
    help: "Tokens generated for a sequence.",
    labels: MODEL,
    buckets: COUNTS,
  },
  {
    name: "mosara_adapters",
    type: "gauge",
    help: "Adapters by placement.",
    labels: ["placement"],
    initial: each("placement", ["live", "merged"]),
  },
  {
    name: "mosara_adapter_bytes",
    type: "gauge",
    help: "Bytes of adapters in the store and in the engine's cache.",
    labels: ["tier"],
    initial: each("tier", ["store", "cache"]),
  },
  {
    name: "mosara_device_bytes",
    type: "gauge",
    help: "Bytes of the device's memory that the engine holds; 0 on cpu.",
    labels: ["kind"],
    initial: each("kind", ["weights", "bases", "kv", "adapters"]),
  },
  {
    name: "mosara_adapter_loads_total",
    type: "counter",
    help: "Adapters taken in, by where they came from and how it ended.",
    labels: ["source", "result"],
    initial: ["upload", "directory", "inline"].flatMap((source) => [
      { source, result: "ok" },
      { source, result: "error" },
    ]),
  },
  {
    name: "mosara_adapter_cache_hits_total",
    type: "counter",
    help: "Sequences whose adapter was ready in the engine.",
    labels: [],
  },
  {
    name: "mosara_adapter_cache_misses_total",
    type: "counter",
    help: "Sequences whose adapter had to be read.",
    labels: [],
  },
  {
    name: "mosara_adapter_requests_total",
    type: "counter",
    help: "Sequences by adapter; the busiest 100 by name, the rest as _other.",
    labels: ["adapter", "finished_reason"],
    initial: each("finished_reason", FINISH_REASONS).map((labels) => ({ adapter: "_other", ...labels })),
  },
  {
    name: "mosara_adapter_tokens_total",
    type: "counter",
    help: "Tokens by adapter; the busiest 100 by name, the rest as _other.",
    labels: ["adapter", "kind"],
    initial: each("kind", ["prompt", "generation"]).map((labels) => ({ adapter: "_other", ...labels })),
  },
  {
    name: "mosara_engine_steps_total",
    type: "counter",
    help: "Steps of the engine.",
    labels: ["phase"],
    initial: each("phase", ["prefill", "decode"]),
  },
  {
    name: "mosara_engine_step_seconds",
    type: "histogram",
    help: "Time of a step.",
    labels: ["phase"],
    buckets: STEP_TIME,
    initial: each("phase", ["prefill", "decode"]),
  },
  { name: "mosara_batch_rows", type: "histogram", help: "Rows of a decode step.", labels: [], buckets: ROWS },
  {
    name: "mosara_batch_adapters",
    type: "histogram",
    help: "Distinct adapters in a decode step.",
    labels: [],
    buckets: [0, ...ROWS],
  },
  {
    name: "mosara_requests_refused_total",
    type: "counter",
    help: "Requests refused with 503 because the queue was full or the server was stopping.",
    labels: [],
  },
  {
    name: "mosara_engine_restarts_total",
    type: "counter",
    help: "Engine processes that died and were started again.",
    labels: [],
  },
  {
    name: "mosara_event_loop_delay_seconds",
    type: "gauge",
    help: "Delay of the HTTP process's event loop since the last scrape.",
    labels: ["quantile"],
    initial: each("quantile", ["0.5", "0.99", "1"]),
  },
  {
    name: "mosara_merge_seconds",
    type: "histogram",
    help: "Time to start a merged engine.",
    labels: [],
    buckets: REQUEST_TIME,
  },
] as const satisfies readonly MetricSpec[];

type MetricName = (typeof METRICS)[number]["name"];
export type FinishedReason = (typeof FINISH_REASONS)[number];

/** What one engine step reports; the engine's `StepStats` is one. Counters are increments. */
export interface StepReport {
  readonly phase: "prefill" | "decode" | "idle";
  readonly seconds: number;
  readonly rows: number;
  readonly distinctAdapters: number;
  readonly numRunning: number;
  readonly numWaiting: number;
  readonly runningAdapters: readonly string[];
  readonly waitingAdapters: readonly string[];
  readonly kvUsage: number;
  readonly adapterCacheBytes: number;
  readonly adapterCacheHits: number;
  readonly adapterCacheMisses: number;
  readonly prefixQueries: number;
  readonly prefixHits: number;
  readonly deviceBytes: Readonly<Record<"weights" | "bases" | "kv" | "adapters", number>> | null;
}

/** One sequence that has ended. Times in seconds; null where it never came so far. */
export interface RequestReport {
  /** The adapter's name; null: the base. */
  readonly adapter: string | null;
  readonly finishedReason: FinishedReason;
  readonly promptTokens: number;
  readonly generationTokens: number;
  readonly totalSeconds: number;
  readonly queueSeconds: number | null;
  readonly prefillSeconds: number | null;
  readonly decodeSeconds: number | null;
}

/** What is true at the moment of a scrape. */
export interface ScrapeFacts {
  readonly live: number;
  readonly merged: number;
  readonly storeBytes: number;
}

export interface MetricsOptions {
  readonly modelName: string;
  /** The value of vLLM's `max_lora`: most distinct adapters in a batch. */
  readonly maxAdaptersPerBatch: number;
  /** An adapter's name for a generation in use. */
  readonly nameOfGeneration: (generation: string) => string;
  readonly facts: () => ScrapeFacts;
}

export interface Metrics {
  readonly contentType: string;
  recordStep(report: StepReport): void;
  /** A sequence got its first token (or its prompt's scores) after so many seconds. */
  recordFirstToken(seconds: number): void;
  /** A further token, so many seconds after the one before. */
  recordTokenGap(seconds: number): void;
  recordGeneratedToken(): void;
  recordRequest(report: RequestReport): void;
  recordAdapterLoad(source: "upload" | "directory" | "inline", result: "ok" | "error"): void;
  /** A request was turned away at once. */
  recordRefusal(): void;
  recordRestart(): void;
  recordMerge(seconds: number): void;
  /** The Prometheus text. */
  render(): Promise<string>;
  /** Stops the sampling of the event loop. */
  close(): void;
}

/** A registry of its own with every metric of the table at 0. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const model = { model_name: options.modelName };
  const metrics = new Map<string, Counter | Gauge | Histogram>(
    METRICS.map((spec) => [spec.name, create(spec, registry, model)]),
  );
  const counter = (name: MetricName) => metrics.get(name) as Counter; // each name's type is the table's
  const gauge = (name: MetricName) => metrics.get(name) as Gauge;
  const histogram = (name: MetricName) => metrics.get(name) as Histogram;
  const observe = (name: MetricName, value: number | null) => value !== null && histogram(name).observe(model, value);
  const adapters = new BusiestAdapters(
    counter("mosara_adapter_requests_total"),
    counter("mosara_adapter_tokens_total"),
  );
  const loop = monitorEventLoopDelay({ resolution: 10 });
  loop.enable();
  let lastStep: StepReport | undefined;

  const atScrape = () => {
    const { live, merged, storeBytes } = options.facts();
    gauge("mosara_adapters").set({ placement: "live" }, live);
    gauge("mosara_adapters").set({ placement: "merged" }, merged);
    gauge("mosara_adapter_bytes").set({ tier: "store" }, storeBytes);
    setLoopDelay(gauge("mosara_event_loop_delay_seconds"), loop);
    const namesOf = (generations: readonly string[] = []) =>
      [...new Set(generations.map(options.nameOfGeneration))].sort().join(",");
    const info = gauge("vllm:lora_requests_info");
    info.reset(); // one series at a time: a gateway reads the one with the largest value
    info.set(
      {
        max_lora: String(options.maxAdaptersPerBatch),
        running_lora_adapters: namesOf(lastStep?.runningAdapters),
        waiting_lora_adapters: namesOf(lastStep?.waitingAdapters),
      },
      Date.now() / 1000,
    );
  };

  return {
    contentType: registry.contentType,
    recordStep: (report) => {
      lastStep = report;
      gauge("vllm:num_requests_running").set(model, report.numRunning);
      gauge("vllm:num_requests_waiting").set(model, report.numWaiting);
      gauge("vllm:kv_cache_usage_perc").set(model, report.kvUsage);
      gauge("mosara_adapter_bytes").set({ tier: "cache" }, report.adapterCacheBytes);
      for (const [kind, count] of Object.entries(report.deviceBytes ?? {}))
        gauge("mosara_device_bytes").set({ kind }, count);
      counter("mosara_adapter_cache_hits_total").inc(report.adapterCacheHits);
      counter("mosara_adapter_cache_misses_total").inc(report.adapterCacheMisses);
      counter("vllm:prefix_cache_queries_total").inc(model, report.prefixQueries);
      counter("vllm:prefix_cache_hits_total").inc(model, report.prefixHits);
      if (report.phase === "idle") return;
      counter("mosara_engine_steps_total").inc({ phase: report.phase });
      histogram("mosara_engine_step_seconds").observe({ phase: report.phase }, report.seconds);
      if (report.phase !== "decode") return;
      histogram("mosara_batch_rows").observe(report.rows);
      histogram("mosara_batch_adapters").observe(report.distinctAdapters);
    },
    recordFirstToken: (seconds) => observe("vllm:time_to_first_token_seconds", seconds),
    recordTokenGap: (seconds) => observe("vllm:inter_token_latency_seconds", seconds),
    recordGeneratedToken: () => counter("vllm:generation_tokens_total").inc(model),
    recordRequest: (report) => {
      counter("vllm:prompt_tokens_total").inc(model, report.promptTokens);
      counter("vllm:request_success_total").inc({ ...model, finished_reason: report.finishedReason });
      observe("vllm:e2e_request_latency_seconds", report.totalSeconds);
      observe("vllm:request_queue_time_seconds", report.queueSeconds);
      observe("vllm:request_prefill_time_seconds", report.prefillSeconds);
      observe("vllm:request_decode_time_seconds", report.decodeSeconds);
      observe("vllm:request_prompt_tokens", report.promptTokens);
      observe("vllm:request_generation_tokens", report.generationTokens);
      if (report.adapter !== null) adapters.record(report.adapter, report);
    },
    recordAdapterLoad: (source, result) => counter("mosara_adapter_loads_total").inc({ source, result }),
    recordRefusal: () => counter("mosara_requests_refused_total").inc(),
    recordRestart: () => {
      counter("mosara_engine_restarts_total").inc();
      // What ran in the dead process has ended.
      lastStep = undefined;
      for (const name of [
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
      ] as const)
        gauge(name).set(model, 0);
    },
    recordMerge: (seconds) => histogram("mosara_merge_seconds").observe(seconds),
    render: () => {
      atScrape();
      return registry.metrics();
    },
    close: () => {
      loop.disable();
      registry.clear();
    },
  };
}

/** docs/metrics.md. */
export function metricsDocument(): string {
  const rows = METRICS.map(
    (spec) =>
      `| \`${spec.name}\` | ${spec.type} | ${spec.labels.map((label) => `\`${label}\``).join(" ")} | ${spec.help} |`,
  );
  const intro =
    "Made by `scripts/make-docs.ts` from the table in `src/metrics.ts`; a test fails when they differ. `GET /metrics` also has prom-client's process metrics.";
  return `# Metrics\n\n${intro}\n\n| name | type | labels | |\n|---|---|---|---|\n${rows.join("\n")}\n`;
}

function create(spec: MetricSpec, registry: Registry, model: { model_name: string }): Counter | Gauge | Histogram {
  const common = { name: spec.name, help: spec.help, labelNames: [...spec.labels], registers: [registry] };
  const base = spec.labels.includes("model_name") ? model : {};
  const initial = (spec.initial ?? [{}]).map((labels) => ({ ...base, ...labels }));
  if (spec.type === "counter") {
    const metric = new Counter(common);
    for (const labels of initial) metric.inc(labels, 0);
    return metric;
  }
  if (spec.type === "gauge") {
    const metric = new Gauge(common);
    for (const labels of initial) metric.set(labels, 0);
    return metric;
  }
  const metric = new Histogram({ ...common, buckets: [...(spec.buckets ?? [])] });
  for (const labels of initial) metric.zero(labels);
  return metric;
}

function setLoopDelay(gauge: Gauge, loop: IntervalHistogram): void {
  const resolution = 10e6; // the histogram counts the timer's own period, in nanoseconds
  const delay = (nanoseconds: number) =>
    Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds - resolution) / 1e9 : 0;
  gauge.set({ quantile: "0.5" }, loop.count === 0 ? 0 : delay(loop.percentile(50)));
  gauge.set({ quantile: "0.99" }, loop.count === 0 ? 0 : delay(loop.percentile(99)));
  gauge.set({ quantile: "1" }, loop.count === 0 ? 0 : delay(loop.max));
  loop.reset();
}

const MAX_NAMED = 100;
const MAX_CANDIDATES = 10_000;

/**
 * Counters by adapter with at most 100 names. When an adapter outside becomes busier than the least busy one inside, they
 * change places, and what the one inside had counted moves to `_other`: so `_other` and the sum never fall.
 */
class BusiestAdapters {
  readonly #requests: Counter;
  readonly #tokens: Counter;
  /** How busy each named adapter was (before it was named, too), and what its series hold. */
  readonly #named = new Map<
    string,
    { requests: number; byReason: Map<string, number>; prompt: number; generation: number }
  >();
  readonly #candidates = new Map<string, number>();

  constructor(requests: Counter, tokens: Counter) {
    this.#requests = requests;
    this.#tokens = tokens;
  }

  record(adapter: string, report: RequestReport): void {
    const name = this.#labelOf(adapter);
    const counts = this.#named.get(name);
    if (counts) {
      counts.requests += 1;
      counts.byReason.set(report.finishedReason, (counts.byReason.get(report.finishedReason) ?? 0) + 1);
      counts.prompt += report.promptTokens;
      counts.generation += report.generationTokens;
    }
    this.#requests.inc({ adapter: name, finished_reason: report.finishedReason });
    this.#tokens.inc({ adapter: name, kind: "prompt" }, report.promptTokens);
    this.#tokens.inc({ adapter: name, kind: "generation" }, report.generationTokens);
  }

  #labelOf(adapter: string): string {
    if (this.#named.has(adapter)) return adapter;
    if (this.#named.size < MAX_NAMED) return this.#admit(adapter, 0);
    const count = (this.#candidates.get(adapter) ?? 0) + 1;
    if (this.#candidates.size >= MAX_CANDIDATES) this.#candidates.clear(); // bounded; the busy ones are back at once
    this.#candidates.set(adapter, count);
    const [least, counts] = [...this.#named].reduce((a, b) => (b[1].requests < a[1].requests ? b : a));
    if (count <= counts.requests) return "_other";
    this.#evict(least);
    this.#candidates.delete(adapter);
    return this.#admit(adapter, count - 1);
  }

  #admit(adapter: string, requests: number): string {
    this.#named.set(adapter, { requests, byReason: new Map(), prompt: 0, generation: 0 });
    return adapter;
  }

  #evict(adapter: string): void {
    const counts = this.#named.get(adapter);
    if (!counts) return;
    this.#named.delete(adapter);
    for (const [reason, count] of counts.byReason) {
      this.#requests.inc({ adapter: "_other", finished_reason: reason }, count);
      this.#requests.remove({ adapter, finished_reason: reason });
    }
    for (const kind of ["prompt", "generation"] as const) {
      this.#tokens.inc({ adapter: "_other", kind }, counts[kind]);
      this.#tokens.remove({ adapter, kind });
    }
    this.#candidates.set(adapter, counts.requests);
  }
}
