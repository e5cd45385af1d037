/**
 * What an operator loads with --import: OpenTelemetry's SDK. Its exporter writes a line of JSON a span to the file
 * $SPANS_FILE.
 */
import { appendFileSync } from "node:fs";
import { propagation, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";

const millis = ([seconds, nanos]) => seconds * 1000 + nanos / 1e6;
const exporter = {
  export(spans, done) {
    for (const span of spans) {
      const { name, kind, status, attributes, parentSpanContext } = span;
      const { traceId, spanId } = span.spanContext();
      const times = { start: millis(span.startTime), end: millis(span.endTime) };
      const line = { name, kind, status, attributes, traceId, spanId, parentId: parentSpanContext?.spanId, ...times };
      appendFileSync(process.env.SPANS_FILE, `${JSON.stringify(line)}\n`);
    }
    done({ code: 0 });
  },
  async shutdown() {},
};
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
