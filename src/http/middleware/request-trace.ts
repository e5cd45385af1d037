/**
 * One OpenTelemetry trace a request: a span of the server with a span each for the lookup in a shared store, the queue,
 * the load of an adapter, prefill and decoding. Only the API of OpenTelemetry is used, which does nothing until the
 * operator loads an SDK (docs/how-to/operate/operate.md). Names of attributes: OpenTelemetry's semantic conventions for
 * HTTP and generative AI.
 */
import {
  type Attributes,
  context,
  propagation,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import type { Context, MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import type { AppContext, AppEnv } from "../context.ts";
import type { RequestRecord, SequenceRecord } from "../request/request-record.ts";
import { PROBES } from "./request-log.ts";

const HEADERS = {
  get: (c: Context, name: string) => c.req.header(name),
  keys: (c: Context) => Object.keys(c.req.header()),
};

/** Reads the variables `record` and `requestId`. A `traceparent` of the caller becomes the parent. */
export function requestTrace({ version }: Pick<AppContext, "version">): MiddlewareHandler<AppEnv> {
  const tracer = trace.getTracer("mosara", version);
  return async (c, next) => {
    const { method, path } = c.req;
    if (PROBES.has(path)) return await next();
    const active = context.active();
    // An instrumentation of Node's HTTP server may have begun a span already.
    const parent = trace.getSpan(active) ? active : propagation.extract(active, c, HEADERS);
    const attributes = { "http.request.method": method, "url.path": path, "mosara.request_id": c.get("requestId") };
    const span = tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, parent);
    if (!span.isRecording()) return await next();
    await next();
    const route = routePath(c, -1);
    span.updateName(`${method} ${route}`);
    span.setAttributes({ "http.route": route, "http.response.status_code": c.res.status });
    if (c.res.status >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
    const record = c.get("record");
    record.whenDone(() => {
      const tenant = c.get("tenant");
      span.setAttributes({ ...attributesOf(record), ...(tenant === undefined ? {} : { "mosara.tenant": tenant }) });
      if (record.lookup !== null) addSpan(tracer, span, "look up adapter", record.lookup);
      for (const sequence of record.sequences) addSpans(span, sequence, record.adapter !== null);
      span.end();
    });
  };

  /** The parts of a sequence, which are known when it has ended. */
  function addSpans(parent: Span, sequence: SequenceRecord, hasAdapter: boolean): void {
    const { endedAt, times, promptTokens, tokens, finishReason } = sequence;
    if (times === null) return;
    const add = (name: string, from: number, to: number, attributes: Attributes = {}) =>
      addSpan(tracer, parent, name, { from, to }, attributes);
    const prefilled = endedAt - 1000 * times.decodeSeconds;
    const admitted = prefilled - 1000 * times.prefillSeconds;
    const isReady = times.adapterSeconds === 0;
    const hit = hasAdapter ? { "mosara.adapter.hit": isReady } : {};
    add("queue", admitted - 1000 * times.queueSeconds, admitted, hit);
    if (!isReady)
      add("load adapter", admitted - 1000 * times.adapterSeconds, admitted, { "mosara.adapter.source": "store" });
    add("prefill", admitted, prefilled, { "gen_ai.usage.input_tokens": promptTokens });
    add("decode", prefilled, endedAt, {
      "gen_ai.usage.output_tokens": tokens,
      "gen_ai.response.finish_reasons": [finishReason],
    });
  }
}

interface Period {
  /** In ms since 1970. */
  readonly from: number;
  readonly to: number;
}

/** A span below `parent` that has ended. */
function addSpan(tracer: Tracer, parent: Span, name: string, at: Period, attributes: Attributes = {}): void {
  const options = { startTime: new Date(at.from), attributes };
  tracer.startSpan(name, options, trace.setSpan(context.active(), parent)).end(new Date(at.to));
}

function attributesOf(record: RequestRecord): Attributes {
  const { adapter, generation, errorCode, cachedTokens } = record;
  const totals = record.totals();
  return {
    ...(adapter === null ? {} : { "mosara.adapter": adapter }),
    ...(generation === null ? {} : { "mosara.generation": generation }),
    ...(errorCode === null ? {} : { "error.type": errorCode }),
    ...(totals === null
      ? {}
      : {
          "gen_ai.usage.input_tokens": totals.promptTokens,
          "gen_ai.usage.output_tokens": totals.tokens,
          "gen_ai.response.finish_reasons": totals.finishReasons,
          "mosara.cached_tokens": cachedTokens,
        }),
  };
}
