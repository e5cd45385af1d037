// The official openai package for Node: an answer, a stream, and an adapter sent with one request.
import OpenAI from "openai";

const url = process.env.MOSARA_URL ?? "http://127.0.0.1:8080";
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: process.env.MOSARA_KEY ?? "none" });
const messages = [{ role: "user", content: "Hello, where is my red kettle from order 4821?" }];

// "model" names the adapter.
const answer = await client.chat.completions.create({ model: "formal", messages, temperature: 0 });
console.log("formal:", answer.choices[0]?.message.content);

process.stdout.write("pirate: ");
const stream = await client.chat.completions.create({ model: "pirate", messages, temperature: 0, stream: true });
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? "");
process.stdout.write("\n");

// A request may contain its adapter. The server does not store it.
const file = await fetch(`${url}/v1/adapters/terse/content`);
const data = Buffer.from(await file.arrayBuffer()).toString("base64");
const { data: models } = await client.models.list();
const brought = await client.chat.completions.create({
  model: models[0]?.id ?? "",
  messages,
  temperature: 0,
  adapter: { data },
});
console.log("brought along:", brought.choices[0]?.message.content);
