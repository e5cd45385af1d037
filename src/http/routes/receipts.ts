/** GET /v1/receipts/key: the public key of the receipts that this server signs. */
import { z } from "@hono/zod-openapi";
import { jsonResponses, type Route } from "../route.ts";

const receiptKey = z
  .object({
    object: z.literal("receipt_key"),
    algorithm: z.literal("Ed25519"),
    public_key: z.string().openapi({ description: "The 32 bytes of the key, in base64url." }),
    pem: z.string(),
  })
  .openapi("ReceiptKey");

export const receiptKeyRoute: Route = {
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
