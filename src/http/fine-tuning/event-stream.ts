/** The events of a job as a stream: those so far, then each as it comes, until the job has ended. */
import type { JobStore } from "../../jobs/job-store.ts";
import { isFinal, type JobRecord } from "../../jobs/records.ts";
import { eventJson } from "./job-json.ts";

/** @returns server-sent events, as OpenAI writes streams */
export function eventStream(store: JobStore, { tenant, id }: JobRecord): Response {
  const encoder = new TextEncoder();
  let stop = (): void => {};
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => {
      let numSent = 0;
      const send = (): void => {
        // The state first: when it is final, all events are there.
        const state = store.job(tenant, id)?.state;
        const events = store.events({ id }, numSent);
        for (const event of events) controller.enqueue(encoder.encode(`data: ${JSON.stringify(eventJson(event))}\n\n`));
        numSent += events.length;
        if (state !== undefined && !isFinal(state)) return;
        stop();
        controller.enqueue(encoder.encode("data: [DONE]\n\n"));
        controller.close();
      };
      stop = store.onChange((job) => {
        if (job.id === id) send();
      });
      send();
    },
    cancel: () => stop(),
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" },
  });
}
