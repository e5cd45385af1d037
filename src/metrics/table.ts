/**
 * Every metric, declared once as data. Names that begin with `vllm:` have vLLM's meaning, unit, labels and buckets.
 * Nothing is recorded here: see metrics.ts.
 */
import { DEVICE_BYTE_KINDS } from "../engine/protocol.ts";

export interface MetricSpec {
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

/** The table that docs/reference/metrics.md is made from. prom-client's process metrics come on top. */
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
    initial: each("kind", DEVICE_BYTE_KINDS),
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
export type MetricName = (typeof METRICS)[number]["name"];
export type FinishedReason = (typeof FINISH_REASONS)[number];
