/**
 * Metrics with vLLM's names, meaning, units, labels and buckets, so that its dashboards, routers and autoscalers work.
 */
import { each, FINISH_REASONS, type MetricSpec, MODEL, REQUEST_TIME } from "./metric-spec.ts";

const FIRST_TOKEN = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
const BETWEEN_TOKENS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const LOAD_TIME = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

export const VLLM_METRICS = [
  { name: "vllm:num_requests_running", type: "gauge", help: "Sequences that have a row in the engine.", labels: MODEL },
  { name: "vllm:num_requests_waiting", type: "gauge", help: "Sequences that wait for a row.", labels: MODEL },
  {
    name: "vllm:kv_cache_usage_perc",
    type: "gauge",
    help: "Share of the key-value memory in use, from 0 to 1.",
    labels: MODEL,
  },
  {
    name: "vllm:gpu_cache_usage_perc",
    type: "gauge",
    help: "The value of vllm:kv_cache_usage_perc, under an older name that production-stack and AIBrix read.",
    labels: MODEL,
  },
  {
    name: "vllm:cache_config_info",
    type: "gauge",
    help: "Layout of the key-value memory: tokens per block, number of blocks and type of the numbers. Until the engine is ready, they are 0 and empty. The value is 1.",
    labels: ["block_size", "num_gpu_blocks", "cache_dtype", "enable_prefix_caching"],
    initial: [],
  },
  {
    name: "vllm:lora_requests_info",
    type: "gauge",
    help: "Adapters of running sequences, and adapters that only waiting sequences need. max_lora is how many adapters can stay ready. The value is the Unix time of the report.",
    labels: ["max_lora", "running_lora_adapters", "waiting_lora_adapters"],
    initial: [],
  },
  {
    name: "vllm:lora_adapter_loaded",
    type: "gauge",
    help: 'The 100 busiest adapters that are ready, by name. The value is 1, and the series ends when the adapter is no longer ready. level is always "gpu", which here means ready for the next step on any device. pinned is "true" for merged adapters, which are never evicted. rank is the highest rank of the adapter\'s targets.',
    labels: ["adapter_name", "level", "pinned", "rank", "tenant"],
    initial: [],
  },
  {
    name: "vllm:num_gpu_loaded_lora_adapters",
    type: "gauge",
    help: "Adapters that are ready, merged and inline ones included.",
    labels: MODEL,
  },
  {
    name: "vllm:max_gpu_lora_adapters",
    type: "gauge",
    help: "How many adapters can stay ready: max_lora, plus one for each merged adapter.",
    labels: MODEL,
  },
  {
    name: "vllm:lora_adapter_load_seconds",
    type: "histogram",
    help: 'Time to read an adapter and lay it out. transition is always "load".',
    labels: [...MODEL, "transition"],
    buckets: LOAD_TIME,
    initial: each("transition", ["load"]),
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
    name: "vllm:spec_decode_num_drafts_total",
    type: "counter",
    help: "Runs that computed guessed tokens of one answer (--speculative-tokens).",
    labels: MODEL,
  },
  {
    name: "vllm:spec_decode_num_draft_tokens_total",
    type: "counter",
    help: "Tokens that such runs guessed.",
    labels: MODEL,
  },
  {
    name: "vllm:spec_decode_num_accepted_tokens_total",
    type: "counter",
    help: "Guessed tokens that the model then chose.",
    labels: MODEL,
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
    help: "Time from the request to its first token, in seconds.",
    labels: MODEL,
    buckets: FIRST_TOKEN,
  },
  {
    name: "vllm:inter_token_latency_seconds",
    type: "histogram",
    help: "Time between two tokens of a sequence, in seconds.",
    labels: MODEL,
    buckets: BETWEEN_TOKENS,
  },
  {
    name: "vllm:time_per_output_token_seconds",
    type: "histogram",
    help: "The value of vllm:inter_token_latency_seconds, under an older name that production-stack and AIBrix read.",
    labels: MODEL,
    buckets: BETWEEN_TOKENS,
  },
  {
    name: "vllm:e2e_request_latency_seconds",
    type: "histogram",
    help: "Time from the request to its end, in seconds.",
    labels: MODEL,
    buckets: REQUEST_TIME,
  },
  {
    name: "vllm:request_queue_time_seconds",
    type: "histogram",
    help: "Time of a sequence in the queue, in seconds.",
    labels: MODEL,
    buckets: REQUEST_TIME,
  },
  {
    name: "vllm:request_prefill_time_seconds",
    type: "histogram",
    help: "Time of a sequence in prefill, in seconds.",
    labels: MODEL,
    buckets: REQUEST_TIME,
  },
  {
    name: "vllm:request_decode_time_seconds",
    type: "histogram",
    help: "Time of a sequence in decoding, in seconds.",
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
] as const satisfies readonly MetricSpec[];
