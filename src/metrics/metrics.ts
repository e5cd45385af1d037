/**
 * Records events of the server and makes the Prometheus text. table.ts lists the metrics. It receives plain numbers,
 * and knows neither HTTP nor the engine.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { type Counter, collectDefaultMetrics, type Gauge, type Histogram, Registry } from "prom-client";
import type { DraftBytes, EngineCapacity, StepStats } from "../engine/protocol.ts";
import { BusiestAdapters } from "./busiest-adapters.ts";
import { createMetric } from "./create-metric.ts";
import { DraftCounters } from "./draft-counters.ts";
import { setLoopDelay } from "./loop-delay.ts";
import type { AdapterLabel } from "./metric-spec.ts";
import { type ResidencyFacts, setLoadedAdapters } from "./residency.ts";
import { TenantCounters } from "./tenant-counters.ts";
import { type FinishedReason, METRICS, type MetricName } from "./table.ts";

/** One sequence that has ended. Times are in seconds; null if the sequence never reached that point. */
export interface RequestReport {
  readonly tenant: string;
  /** The adapter; null: the base. */
  readonly adapter: AdapterLabel | null;
  readonly finishedReason: FinishedReason;
  readonly promptTokens: number;
  readonly generationTokens: number;
  readonly totalSeconds: number;
  readonly queueSeconds: number | null;
  readonly prefillSeconds: number | null;
  readonly decodeSeconds: number | null;
}

/** State at the moment of a scrape. */
export interface ScrapeFacts {
  readonly live: number;
  readonly merged: number;
  readonly storeBytes: number;
  /** Limits of the live engine; null until that engine has been ready once. */
  readonly capacity: EngineCapacity | null;
  /** Memory of the live engine's draft model; null: there is none, or that engine has not been ready yet. */
  readonly draftBytes: DraftBytes | null;
  readonly residency: ResidencyFacts;
}

export interface MetricsOptions {
  readonly modelName: string;
  readonly usesPrefixCache: boolean;
  /** An adapter's name for a generation in use. */
  readonly nameOfGeneration: (generation: string) => string;
  readonly facts: () => ScrapeFacts;
}

type Recorders = ReadonlyMap<string, Counter | Gauge | Histogram>;

/** Every metric of the table in a registry of its own, at 0 until something is recorded. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #options: MetricsOptions;
  readonly #model: { readonly model_name: string };
  readonly #recorders: Recorders;
  readonly #adapters: BusiestAdapters;
  readonly #versions: BusiestAdapters;
  readonly #tenants: TenantCounters;
  readonly #drafts: DraftCounters;
  readonly #loop = monitorEventLoopDelay({ resolution: 10 });
  #lastStep: StepStats | undefined;

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.#model = { model_name: options.modelName };
    collectDefaultMetrics({ register: this.#registry });
    this.#recorders = new Map(METRICS.map((spec) => [spec.name, createMetric(spec, this.#registry, this.#model)]));
    this.#adapters = new BusiestAdapters(
      this.#counter("mosara_adapter_requests_total"),
      this.#counter("mosara_adapter_tokens_total"),
    );
    this.#versions = new BusiestAdapters(
      this.#counter("mosara_adapter_version_requests_total"),
      this.#counter("mosara_adapter_version_tokens_total"),
    );
    this.#tenants = new TenantCounters(
      this.#counter("mosara_tenant_requests_total"),
      this.#counter("mosara_tenant_tokens_total"),
      this.#counter("mosara_requests_limited_total"),
    );
    this.#drafts = new DraftCounters(this.#model, {
      drafts: this.#counter("vllm:spec_decode_num_drafts_total"),
      tokens: this.#counter("vllm:spec_decode_num_draft_tokens_total"),
      accepted: this.#counter("vllm:spec_decode_num_accepted_tokens_total"),
      tokensBySource: this.#counter("mosara_draft_tokens_total"),
      acceptedBySource: this.#counter("mosara_draft_accepted_tokens_total"),
      seconds: this.#counter("mosara_draft_model_seconds_total"),
      bytes: this.#gauge("mosara_draft_model_bytes"),
    });
    this.#loop.enable();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Records a step of an engine. Counters of the report are increments. */
  recordStep(stats: StepStats): void {
    this.#lastStep = stats;
    this.#setState(stats);
    this.#counter("mosara_adapter_cache_hits_total").inc(stats.adapterCacheHits);
    this.#counter("mosara_adapter_cache_misses_total").inc(stats.adapterCacheMisses);
    for (const seconds of stats.adapterLoadSeconds)
      this.#histogram("vllm:lora_adapter_load_seconds").observe({ ...this.#model, transition: "load" }, seconds);
    this.#counter("vllm:prefix_cache_queries_total").inc(this.#model, stats.prefixQueries);
    this.#counter("vllm:prefix_cache_hits_total").inc(this.#model, stats.prefixHits);
    if (stats.phase === "idle") return;
    this.#counter("mosara_engine_steps_total").inc({ phase: stats.phase });
    this.#histogram("mosara_engine_step_seconds").observe({ phase: stats.phase }, stats.seconds);
    if (stats.phase === "speculate") this.#drafts.record(stats);
    if (stats.phase !== "decode") return;
    this.#histogram("mosara_batch_rows").observe(stats.rows);
    this.#histogram("mosara_batch_adapters").observe(stats.distinctAdapters);
  }

  /** Records the time to a sequence's first token (or to its prompt's scores). */
  recordFirstToken(seconds: number): void {
    this.#observe("vllm:time_to_first_token_seconds", seconds);
  }

  /** Records a further token, and the time since the token before it. */
  recordTokenGap(seconds: number): void {
    this.#observe("vllm:inter_token_latency_seconds", seconds);
    this.#observe("vllm:time_per_output_token_seconds", seconds);
  }

  recordGeneratedToken(): void {
    this.#counter("vllm:generation_tokens_total").inc(this.#model);
  }

  recordRequest(report: RequestReport): void {
    const { finishedReason } = report;
    this.#counter("vllm:prompt_tokens_total").inc(this.#model, report.promptTokens);
    this.#counter("vllm:request_success_total").inc({ ...this.#model, finished_reason: finishedReason });
    this.#observe("vllm:e2e_request_latency_seconds", report.totalSeconds);
    this.#observe("vllm:request_queue_time_seconds", report.queueSeconds);
    this.#observe("vllm:request_prefill_time_seconds", report.prefillSeconds);
    this.#observe("vllm:request_decode_time_seconds", report.decodeSeconds);
    this.#observe("vllm:request_prompt_tokens", report.promptTokens);
    this.#observe("vllm:request_generation_tokens", report.generationTokens);
    this.#tenants.record(report.tenant, report);
    if (report.adapter === null) return;
    const { generation, ...adapter } = report.adapter;
    this.#adapters.record(adapter, report);
    if (generation !== undefined) this.#versions.record(report.adapter, report);
  }

  recordAdapterLoad(source: "upload" | "directory" | "inline" | "store", result: "ok" | "error"): void {
    this.#counter("mosara_adapter_loads_total").inc({ source, result });
  }

  /** Records how a look-up of a name in the shared store ended. */
  recordStoreLookup(result: string): void {
    this.#counter("mosara_store_lookups_total").inc({ result });
    if (result === "loaded" || result === "error") this.recordAdapterLoad("store", result === "error" ? "error" : "ok");
  }

  /** Records an operation of the shared store. */
  recordStoreRequest(operation: string, isOk: boolean, seconds: number): void {
    this.#counter("mosara_store_requests_total").inc({ operation, result: isOk ? "ok" : "error" });
    this.#histogram("mosara_store_request_seconds").observe({ operation }, seconds);
  }

  /** Records a request that a limit of its tenant or key refused. */
  recordLimited(tenant: string, limit: string): void {
    this.#tenants.recordLimited(tenant, limit);
  }

  /** Records whether limits are counted together with other servers from now on. */
  recordLimitsShared(isShared: boolean): void {
    this.#gauge("mosara_limits_shared").set(isShared ? 1 : 0);
    if (!isShared) this.#counter("mosara_limits_redis_losses_total").inc();
  }

  /** Records that a target of an alias was taken out, or should have been. */
  recordTakenOut(reason: "errors" | "drift"): void {
    this.#counter("mosara_alias_rollbacks_total").inc({ reason });
  }

  /** Records a request that was refused at once. */
  recordRefusal(): void {
    this.#counter("mosara_requests_refused_total").inc();
  }

  /** Records that an engine process died, which ended its sequences. */
  recordRestart(): void {
    this.#counter("mosara_engine_restarts_total").inc();
    this.#lastStep = undefined;
    this.#gauge("vllm:num_requests_running").set(this.#model, 0);
    this.#gauge("vllm:num_requests_waiting").set(this.#model, 0);
    this.#setKvUsage(0);
  }

  recordMerge(seconds: number): void {
    this.#histogram("mosara_merge_seconds").observe(seconds);
  }

  /** The Prometheus text. */
  async render(): Promise<string> {
    const { live, merged, storeBytes, capacity, draftBytes, residency } = this.#options.facts();
    this.#gauge("mosara_adapters").set({ placement: "live" }, live);
    this.#gauge("mosara_adapters").set({ placement: "merged" }, merged);
    this.#gauge("mosara_adapter_bytes").set({ tier: "store" }, storeBytes);
    setLoopDelay(this.#gauge("mosara_event_loop_delay_seconds"), this.#loop);
    this.#setCacheConfig(capacity);
    this.#drafts.setBytes(draftBytes);
    const maxReady = capacity?.maxReadyAdapters ?? 0;
    this.#setAdaptersInUse(maxReady);
    this.#setResidency(residency, maxReady);
    return await this.#registry.metrics();
  }

  /** Stops sampling the event loop. */
  close(): void {
    this.#loop.disable();
    this.#registry.clear();
  }

  #setState(stats: StepStats): void {
    this.#gauge("vllm:num_requests_running").set(this.#model, stats.numRunning);
    this.#gauge("vllm:num_requests_waiting").set(this.#model, stats.numWaiting);
    this.#setKvUsage(stats.kvUsage);
    this.#gauge("mosara_adapter_bytes").set({ tier: "cache" }, stats.adapterCacheBytes);
    for (const [kind, count] of Object.entries(stats.deviceBytes ?? {}))
      this.#gauge("mosara_device_bytes").set({ kind }, count);
  }

  #setKvUsage(share: number): void {
    this.#gauge("vllm:kv_cache_usage_perc").set(this.#model, share);
    this.#gauge("vllm:gpu_cache_usage_perc").set(this.#model, share);
  }

  #setCacheConfig(capacity: EngineCapacity | null): void {
    this.#gauge("vllm:cache_config_info").reset();
    const labels = {
      block_size: String(capacity?.kvBlockTokens ?? 0),
      num_gpu_blocks: String(capacity?.numKvBlocks ?? 0),
      cache_dtype: capacity?.kvCacheType ?? "",
      enable_prefix_caching: this.#options.usesPrefixCache ? "True" : "False", // as Python writes them
    };
    this.#gauge("vllm:cache_config_info").set(labels, 1);
  }

  /** A running adapter is not also listed as waiting, because a gateway would count it twice. */
  #setAdaptersInUse(maxReady: number): void {
    const namesOf = (generations: readonly string[] = []) =>
      [...new Set(generations.map(this.#options.nameOfGeneration))].sort();
    const running = namesOf(this.#lastStep?.runningAdapters);
    const waiting = namesOf(this.#lastStep?.waitingAdapters).filter((name) => !running.includes(name));
    const info = this.#gauge("vllm:lora_requests_info");
    info.reset(); // one series at a time: a gateway reads the series with the largest value
    const labels = {
      max_lora: String(maxReady),
      running_lora_adapters: running.join(","),
      waiting_lora_adapters: waiting.join(","),
    };
    info.set(labels, Date.now() / 1000);
  }

  /**
   * A merged adapter counts in both numbers, so that their difference is the number of free places in the live engine.
   */
  #setResidency(facts: ResidencyFacts, maxReady: number): void {
    const { numLive, numMerged } = facts;
    this.#gauge("vllm:num_gpu_loaded_lora_adapters").set(this.#model, numLive + numMerged);
    this.#gauge("vllm:max_gpu_lora_adapters").set(this.#model, maxReady + numMerged);
    setLoadedAdapters(this.#gauge("vllm:lora_adapter_loaded"), facts, ({ name, tenant }) =>
      this.#adapters.requestsOf(tenant === undefined ? { name } : { name, tenant }),
    );
  }

  #observe(name: MetricName, value: number | null): void {
    if (value !== null) this.#histogram(name).observe(this.#model, value);
  }

  #counter(name: MetricName): Counter {
    return this.#recorders.get(name) as Counter; // each name's type is the table's
  }

  #gauge(name: MetricName): Gauge {
    return this.#recorders.get(name) as Gauge;
  }

  #histogram(name: MetricName): Histogram {
    return this.#recorders.get(name) as Histogram;
  }
}
