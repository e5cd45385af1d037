/**
 * Server-sent events with back-pressure: a send waits while the client has no room. Hono's stream helper is not used,
 * because it swallows write errors. Knows nothing of the events' content.
 */

/** An open event stream. */
export interface EventStream {
  readonly response: Response;
  /** Resolves with the first `send`. */
  readonly started: Promise<void>;
  /**
   * Sends one object, or the closing `[DONE]`; resolves when there is room for more. Does nothing once the client has
   * gone.
   */
  send(data: object | "[DONE]"): Promise<void>;
  close(): void;
}

/** Bytes that may wait for the client before `send` waits. */
const BUFFERED_BYTES = 65_536;

/**
 * Opens a stream. @param onGone called once if the client leaves before `close`
 * @param hasNames whether every object's `type` is sent as the event's name
 */
export function openEventStream(
  onGone: () => void,
  { hasNames = false }: { readonly hasNames?: boolean } = {},
): EventStream {
  const encoder = new TextEncoder();
  const waiting: (() => void)[] = [];
  const wakeAll = () => {
    for (const wake of waiting.splice(0)) wake();
  };
  let isOver = false;
  let markStarted = () => {};
  const started = new Promise<void>((resolve) => (markStarted = resolve));
  const { readable, controller } = readableWith({
    pull: wakeAll,
    cancel: () => {
      if (isOver) return;
      isOver = true;
      wakeAll();
      onGone();
    },
  });
  return {
    response: new Response(readable, {
      headers: {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "x-accel-buffering": "no",
      },
    }),
    started,
    send: async (data) => {
      if (isOver) return;
      const name = hasNames && data !== "[DONE]" ? `event: ${(data as { type: string }).type}\n` : "";
      controller.enqueue(encoder.encode(`${name}data: ${data === "[DONE]" ? data : JSON.stringify(data)}\n\n`));
      markStarted();
      if ((controller.desiredSize ?? 0) <= 0) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    close: () => {
      if (isOver) return;
      isOver = true;
      controller.close();
    },
  };
}

/** A stream of bytes and the controller that feeds it. */
function readableWith(source: { pull: () => void; cancel: () => void }) {
  const held: { controller?: ReadableStreamDefaultController<Uint8Array> } = {};
  const readable = new ReadableStream<Uint8Array>(
    { ...source, start: (controller) => void (held.controller = controller) },
    new ByteLengthQueuingStrategy({ highWaterMark: BUFFERED_BYTES }),
  );
  if (!held.controller) throw new Error("internal: a stream has not started");
  return { readable, controller: held.controller };
}
