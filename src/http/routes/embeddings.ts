/** POST /v1/embeddings. */
import { runEmbeddings } from "../embeddings/embed.ts";
import { embeddingRequest, embeddingResponse } from "../embeddings/request-schema.ts";
import { jsonResponses, type Route } from "../route.ts";

export const embeddingsRoute: Route = {
  method: "post",
  path: "/v1/embeddings",
  scope: "use",
  document: {
    summary: "Vectors of texts, from the base or an adapter",
    tags: ["OpenAI"],
    request: { body: { required: true, content: { "application/json": { schema: embeddingRequest } } } },
    responses: jsonResponses("One vector for each input, in their order.", embeddingResponse),
  },
  handle: runEmbeddings,
};
