/** Mosara's own metrics, whose names begin with `mosara_`. */
import { DEVICE_BYTE_KINDS } from "../engine/protocol.ts";
import { each, FINISH_REASONS, type MetricSpec, REQUEST_TIME } from "./metric-spec.ts";

const STEP_TIME = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const ROWS = [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256];

export const OWN_METRICS = [
  {
    name: "mosara_adapters",
    type: "gauge",
    help: "Number of adapters, by placement.",
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
    help: "Bytes of device memory that the engine holds, by kind. Always 0 on cpu.",
    labels: ["kind"],
    initial: each("kind", DEVICE_BYTE_KINDS),
  },
  {
    name: "mosara_adapter_loads_total",
    type: "counter",
    help: "Attempts to import an adapter, by source and result.",
    labels: ["source", "result"],
    initial: ["upload", "directory", "inline"].flatMap((source) => [
      { source, result: "ok" },
      { source, result: "error" },
    ]),
  },
  {
    name: "mosara_adapter_cache_hits_total",
    type: "counter",
    help: "Sequences whose adapter was ready in the engine when they needed it.",
    labels: [],
  },
  {
    name: "mosara_adapter_cache_misses_total",
    type: "counter",
    help: "Sequences whose adapter had to be read from the store first.",
    labels: [],
  },
  {
    name: "mosara_adapter_requests_total",
    type: "counter",
    help: "Sequences that ended, by adapter and reason. The busiest 100 adapters have series of their own. All others count as _other.",
    labels: ["adapter", "finished_reason", "tenant"],
    initial: each("finished_reason", FINISH_REASONS).map((labels) => ({ adapter: "_other", ...labels })),
  },
  {
    name: "mosara_adapter_tokens_total",
    type: "counter",
    help: "Tokens by adapter and kind. The busiest 100 adapters have series of their own. All others count as _other.",
    labels: ["adapter", "kind", "tenant"],
    initial: each("kind", ["prompt", "generation"]).map((labels) => ({ adapter: "_other", ...labels })),
  },
  {
    name: "mosara_adapter_version_requests_total",
    type: "counter",
    help: "Sequences that ended, by the generation of a stored adapter and reason. The busiest 100 have series of their own. All others count as _other.",
    labels: ["adapter", "generation", "finished_reason", "tenant"],
    initial: each("finished_reason", FINISH_REASONS).map((labels) => ({ adapter: "_other", ...labels })),
  },
  {
    name: "mosara_adapter_version_tokens_total",
    type: "counter",
    help: "Tokens by the generation of a stored adapter and kind. The busiest 100 have series of their own. All others count as _other.",
    labels: ["adapter", "generation", "kind", "tenant"],
    initial: each("kind", ["prompt", "generation"]).map((labels) => ({ adapter: "_other", ...labels })),
  },
  {
    name: "mosara_alias_rollbacks_total",
    type: "counter",
    help: "Targets that were taken out of an alias because they broke its rule, by the broken condition.",
    labels: ["reason"],
    initial: each("reason", ["errors", "drift"]),
  },
  {
    name: "mosara_tenant_requests_total",
    type: "counter",
    help: "Sequences that ended, by tenant. The first 100 tenants have series of their own. All others count as _other.",
    labels: ["tenant"],
    initial: [{ tenant: "_other" }],
  },
  {
    name: "mosara_tenant_tokens_total",
    type: "counter",
    help: "Tokens by tenant and kind. The first 100 tenants have series of their own. All others count as _other.",
    labels: ["tenant", "kind"],
    initial: each("kind", ["prompt", "generation"]).map((labels) => ({ tenant: "_other", ...labels })),
  },
  {
    name: "mosara_requests_limited_total",
    type: "counter",
    help: "Requests refused with 429, by tenant and limit.",
    labels: ["tenant", "limit"],
    initial: each("limit", ["concurrent", "requests", "tokens"]).map((labels) => ({ tenant: "_other", ...labels })),
  },
  {
    name: "mosara_limits_shared",
    type: "gauge",
    help: "1 while limits are counted in Redis (--limits-redis), 0 while this server counts for itself.",
    labels: [],
  },
  {
    name: "mosara_limits_redis_losses_total",
    type: "counter",
    help: "How often Redis stopped answering, and this server began to count limits for itself.",
    labels: [],
  },
  {
    name: "mosara_engine_steps_total",
    type: "counter",
    help: "Steps of the engine, by phase.",
    labels: ["phase"],
    initial: each("phase", ["prefill", "decode", "speculate"]),
  },
  {
    name: "mosara_engine_step_seconds",
    type: "histogram",
    help: "Duration of a step, by phase, in seconds.",
    labels: ["phase"],
    buckets: STEP_TIME,
    initial: each("phase", ["prefill", "decode", "speculate"]),
  },
  { name: "mosara_batch_rows", type: "histogram", help: "Number of rows in a decode step.", labels: [], buckets: ROWS },
  {
    name: "mosara_batch_adapters",
    type: "histogram",
    help: "Number of distinct adapters in a decode step.",
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
    help: "Engine processes that ended unexpectedly and were restarted.",
    labels: [],
  },
  {
    name: "mosara_event_loop_delay_seconds",
    type: "gauge",
    help: "Delay of the HTTP process's event loop since the last scrape: its median, 99th percentile and maximum.",
    labels: ["statistic"],
    initial: each("statistic", ["p50", "p99", "max"]),
  },
  {
    name: "mosara_merge_seconds",
    type: "histogram",
    help: "Time to start a merged engine.",
    labels: [],
    buckets: REQUEST_TIME,
  },
] as const satisfies readonly MetricSpec[];
