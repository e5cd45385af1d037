/** Vercel's AI SDK with `@ai-sdk/openai-compatible`. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { aiSdkFeatures } from "./ai-sdk-features.mjs";
import { BASE_URL, KEY, report } from "./harness.mjs";

const settings = { name: "mosara", baseURL: BASE_URL, includeUsage: true, supportsStructuredOutputs: true };
const mosara = createOpenAICompatible({ ...settings, apiKey: KEY });
const wrong = createOpenAICompatible({ ...settings, apiKey: "wrong" });

await report({
  chat: aiSdkFeatures({ model: mosara, withWrongKey: wrong, embedding: mosara.embeddingModel("demo") }),
});
