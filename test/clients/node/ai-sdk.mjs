/** Vercel's AI SDK with `@ai-sdk/openai`: its default model (Responses), and the one of chat. */
import { createOpenAI } from "@ai-sdk/openai";
import { aiSdkFeatures } from "./ai-sdk-features.mjs";
import { BASE_URL, KEY, report } from "./harness.mjs";

const openai = createOpenAI({ apiKey: KEY, baseURL: BASE_URL });
const wrong = createOpenAI({ apiKey: "wrong", baseURL: BASE_URL });

await report({
  Responses: aiSdkFeatures({ model: openai, withWrongKey: wrong, embedding: openai.embedding("demo") }),
  chat: aiSdkFeatures({ model: (id) => openai.chat(id), withWrongKey: (id) => wrong.chat(id), embedding: null }),
});
