/** POST /tokenize, POST /detokenize and GET /tokenizer_info, under vLLM's names. */
import { jsonResponses, type Route } from "../route.ts";
import {
  detokenizeRequest,
  detokenizeResponse,
  tokenizeRequest,
  tokenizeResponse,
  tokenizerInfoResponse,
} from "../tokenize/request-schema.ts";
import { detokenize, tokenize } from "../tokenize/tokenize.ts";

const tags = ["Tokens"];

export const tokenizeRoutes: readonly Route[] = [
  {
    method: "post",
    path: "/tokenize",
    scope: "use",
    document: {
      summary: "Token ids of a prompt or of a conversation",
      tags,
      request: { body: { required: true, content: { "application/json": { schema: tokenizeRequest } } } },
      responses: jsonResponses("The ids.", tokenizeResponse),
    },
    handle: tokenize,
  },
  {
    method: "post",
    path: "/detokenize",
    scope: "use",
    document: {
      summary: "Text of token ids, special tokens included",
      tags,
      request: { body: { required: true, content: { "application/json": { schema: detokenizeRequest } } } },
      responses: jsonResponses("The text.", detokenizeResponse),
    },
    handle: detokenize,
  },
  {
    method: "get",
    path: "/tokenizer_info",
    scope: "use",
    document: {
      summary: "The tokenizer's configuration and the chat template",
      tags,
      responses: jsonResponses("tokenizer_config.json, as transformers merges it.", tokenizerInfoResponse),
    },
    handle: ({ text }, c) => c.json(text.info),
  },
];
