/** One client that connects and disconnects again, at one of the moments at which real clients do. */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** How far a cycle gets. */
const MOMENTS = ["connected", "half a body", "sent", "first piece", "some pieces", "kept open"] as const;
type Moment = (typeof MOMENTS)[number];

const MESSAGES = [{ role: "user", content: "Hello, where is my red kettle from order 4821?" }];
const SCHEMA = { type: "object", properties: { text: { type: "string", minLength: 500 } }, required: ["text"] };
const LONG = { temperature: 1, ignore_eos: true, max_tokens: 700 };

/** Long answers of every kind, by their paths. */
const REQUESTS: readonly (readonly [path: string, body: object])[] = [
  ["/v1/completions", { ...LONG, prompt: "Once upon a time", stream: true }],
  ["/v1/completions", { ...LONG, prompt: ["One", "Two"], max_tokens: 30 }],
  ["/v1/chat/completions", { ...LONG, messages: MESSAGES, stream: true }],
  ["/v1/chat/completions", { messages: MESSAGES, stream: true, response_format: formatOf(SCHEMA) }],
  ["/v1/responses", { input: "Hello", ignore_eos: true, stream: true, store: false }],
  ["/v1/messages", { messages: MESSAGES, ignore_eos: true, max_tokens: 700, stream: true }],
  ["/v1/embeddings", { input: ["a red kettle", "order 4821"] }],
];
const MODELS = ["pirate", "json", "library", "cheerful", "bench"];

function formatOf(schema: object): object {
  return { type: "json_schema", json_schema: { name: "text", schema } };
}

/** @param number which cycle: it says the moment, the request and the model */
export async function abortCycle(url: string, number: number): Promise<void> {
  const moment = MOMENTS[number % MOMENTS.length] as Moment; // within it
  const [path, fields] = REQUESTS[Math.floor(number / MOMENTS.length) % REQUESTS.length]!; // within it
  const body = JSON.stringify({ model: MODELS[number % MODELS.length], seed: number, ...fields });
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  try {
    await event(socket, "connect");
    if (moment === "connected") return;
    const head = `POST ${path} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n`;
    socket.write(head + (moment === "half a body" ? body.slice(0, body.length / 2) : body));
    if (moment === "half a body" || moment === "sent") await sleep(number % 5);
    else if (moment === "kept open") await sleep(20);
    else for (let pieces = moment === "first piece" ? 1 : 4; pieces > 0; pieces--) await event(socket, "data");
  } finally {
    socket.destroy();
  }
}

/** Waits for an event of a connection that ends at the latest with its answer. */
async function event(socket: Socket, name: "connect" | "data"): Promise<void> {
  if (socket.destroyed) return;
  await new Promise<void>((resolve, reject) => {
    const ended = (): void => resolve();
    socket.once(name, () => {
      socket.off("error", reject).off("close", ended);
      resolve();
    });
    socket.once("error", reject).once("close", ended);
  });
}
