/** The server's key of receipts, and the signing of receipts that answers had unsigned. */
import { z } from "@hono/zod-openapi";
import { AppError } from "../../errors.ts";
import { parseRequest } from "../request/parse-request.ts";
import { readJson } from "../request/read-body.ts";
import { jsonResponses, type Route } from "../route.ts";

const receiptKey = z
  .object({
    object: z.literal("receipt_key"),
    algorithm: z.literal("Ed25519"),
    public_key: z.string().openapi({ description: "The 32 bytes of the key, in base64url." }),
    pem: z.string(),
  })
  .openapi("ReceiptKey");

const receiptKeyRoute: Route = {
  method: "get",
  path: "/v1/receipts/key",
  scope: "any",
  document: {
    summary: "The public key of this server's receipts",
    tags: ["Operations"],
    responses: jsonResponses("The key.", receiptKey),
  },
  handle: ({ receipts }, c) => {
    const { publicKey, publicPem } = receipts.key;
    return c.json({ object: "receipt_key", algorithm: "Ed25519", public_key: publicKey, pem: publicPem });
  },
};

const MAX_BODY_BYTES = 16_384;
const signRequest = z
  .strictObject({
    receipt: z.string().openapi({ description: "The header x-mosara-receipt of an answer of this server." }),
  })
  .openapi("ReceiptToSign");
const signedReceipt = z
  .object({
    object: z.literal("receipt"),
    receipt: z.string().openapi({ description: "The same statement, signed." }),
    public_key: z.string(),
  })
  .openapi("SignedReceipt");

const signReceiptRoute: Route = {
  method: "post",
  path: "/v1/receipts/sign",
  scope: "use",
  document: {
    summary: "Sign the receipt of an earlier answer",
    tags: ["Operations"],
    request: { body: { required: true, content: { "application/json": { schema: signRequest } } } },
    responses: jsonResponses("The signed receipt.", signedReceipt),
  },
  handle: async ({ receipts }, c) => {
    const { receipt } = parseRequest(signRequest, await readJson(c, MAX_BODY_BYTES));
    const signed = receipts.sign(receipt);
    if (signed === undefined)
      throw new AppError(
        "receipt_invalid",
        '"receipt" is no unsigned receipt of this server\'s key. Send the header x-mosara-receipt of one of its answers, unchanged.',
        { param: "receipt" },
      );
    return c.json({ object: "receipt", receipt: signed, public_key: receipts.key.publicKey });
  },
};

export const receiptRoutes: readonly Route[] = [receiptKeyRoute, signReceiptRoute];
