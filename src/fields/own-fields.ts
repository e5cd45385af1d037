/** Fields of this server alone, except those that name adapters. */
import { both, type Field, heeded } from "./field.ts";

export const OWN_FIELDS: readonly Field[] = both(["mosara"], {
  mosara_receipt: heeded(
    "The answer, or a stream's last chunk, has a signed receipt of everything that decided its bits. `mosara replay` computes the answer again.",
  ),
});
