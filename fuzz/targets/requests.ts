/** Bodies of requests: read, checked against the fields and the schema, and converted, up to the model. */
import { AppError } from "../../src/errors.ts";
import { checkFields } from "../../src/fields/check-fields.ts";
import { chatKind } from "../../src/http/completion/chat.ts";
import type { CompletionKind } from "../../src/http/completion/completion-kind.ts";
import { grammarOf } from "../../src/http/completion/grammar.ts";
import { messagesKind } from "../../src/http/completion/messages/messages.ts";
import type { SharedFields } from "../../src/http/completion/request-schema.ts";
import { ResponseStore } from "../../src/http/completion/responses/response-store.ts";
import { responsesKind } from "../../src/http/completion/responses/responses.ts";
import { stopStrings } from "../../src/http/completion/sampling.ts";
import { textKind } from "../../src/http/completion/text.ts";
import type { AppContext } from "../../src/http/context.ts";
import { ERRORS } from "../../src/http/error-table.ts";
import { parseBody } from "../../src/http/request/read-body.ts";
import { damagedJson } from "../inputs/json.ts";
import type { Target } from "../target.ts";
import { MAX_SECONDS } from "../target.ts";
import { CHAT_BODY, COMPLETION_BODY, MESSAGES_BODY, RESPONSES_BODY, WORDS } from "./request-bodies.ts";

/** The only part of the application that reading a body touches. */
const CONTEXT = { responses: new ResponseStore(0) } as AppContext;

function bodyTarget<F extends SharedFields>(kind: CompletionKind<F>, bodies: readonly object[]): Target {
  return {
    name: `body-${kind.endpoint}`,
    makeInput: (random) => damagedJson(random.one(bodies), WORDS, random),
    read: (input) => {
      const text = Buffer.from(input).toString("utf8");
      try {
        const body = parseBody(text, (json) => kind.parse(json));
        checkFields(body.plain, kind.endpoint, { isStrict: input.length % 2 === 0 });
        const { fields } = kind.readFields(body, CONTEXT, "default");
        grammarOf(fields);
        stopStrings(fields.stop);
      } catch (error) {
        // A client's body must never be answered with a fault of the server.
        if (error instanceof AppError && ERRORS[error.code].status >= 500)
          throw new Error(error.message, { cause: error });
        throw error;
      }
    },
    maxSeconds: MAX_SECONDS,
  };
}

export const REQUEST_TARGETS: readonly Target[] = [
  bodyTarget(textKind, COMPLETION_BODY),
  bodyTarget(chatKind, CHAT_BODY),
  bodyTarget(messagesKind, MESSAGES_BODY),
  bodyTarget(responsesKind, RESPONSES_BODY),
];
