/** Checks a receipt without a model: its signature, and whether the evidence is that of the statement. */
import type { AnyReceipt } from "./read-receipt.ts";
import { idsHash, jsonHash } from "./receipt.ts";
import { isSignedBy } from "./receipt-key.ts";

/** The result of one check, for readers. */
export interface Finding {
  readonly part: string;
  readonly isGood: boolean;
  readonly text: string;
}

/** @param trusted public key of the server, in base64url; null: the key that the receipt itself names */
export function verifyReceipt(receipt: AnyReceipt, trusted: string | null): readonly Finding[] {
  return [signatureFinding(receipt, trusted), ...evidenceFindings(receipt)];
}

function signatureFinding({ statement, signature, publicKey }: AnyReceipt, trusted: string | null): Finding {
  const part = "signature";
  const key = trusted ?? publicKey;
  if (key === null)
    return { part, isGood: false, text: "not checked: the short form names no key. Give it with --public-key." };
  if (!isSigned(key, statement, signature)) {
    const isOther = publicKey !== null && publicKey !== key && isSigned(publicKey, statement, signature);
    const by = isOther ? ` It is signed by ${publicKey}.` : "";
    return { part, isGood: false, text: `not valid: ${key} has not signed this statement.${by}` };
  }
  const trust = trusted === null ? " This is the key that the receipt names. Compare it with the server's." : "";
  return { part, isGood: true, text: `valid, by ${key}.${trust}` };
}

/** A key in the wrong form has signed nothing. */
function isSigned(...args: Parameters<typeof isSignedBy>): boolean {
  try {
    return isSignedBy(...args);
  } catch {
    return false;
  }
}

function evidenceFindings({ statement, evidence }: AnyReceipt): Finding[] {
  if (evidence === null) return [];
  const { prompts, answers, rules } = evidence;
  return [
    matching("prompt", idsHash(prompts) === statement.prompts.ids, `${statement.prompts.tokens} token ids`),
    matching("rules", jsonHash(rules) === statement.rules, "stop ids, biases, words and grammar"),
    matching("answer", idsHash(answers) === statement.answers.ids, `${statement.answers.tokens} token ids`),
  ];
}

function matching(part: string, isGood: boolean, what: string): Finding {
  const text = isGood ? `as signed: ${what}` : `altered: its ${what} are not those of the statement`;
  return { part, isGood, text };
}
