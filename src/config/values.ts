/** Schemas of flag values: they convert the text of a command line to a checked value. Messages continue "--flag …". */
import { z } from "zod";

export const text = z.string().min(1, "must not be empty");
export const integer = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  z
    .string()
    .regex(/^\d+$/, "must be a whole number")
    .transform(Number)
    .refine(
      (n) => n >= min && n <= max,
      max === Number.MAX_SAFE_INTEGER ? `must be at least ${min}` : `must be ${min} to ${max}`,
    );
const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
export const bytes = z
  .string()
  .regex(/^\d+[KMG]?$/, "must be a number of bytes, such as 512M or 4G (K, M and G are powers of 1024)")
  .transform((s) => Number(s.replace(/[KMG]$/, "")) * (UNITS[/[KMG]?$/.exec(s)?.[0] ?? ""] ?? 1))
  .refine(Number.isSafeInteger, "is too large");
export const proportion = z
  .string()
  .regex(/^\d*\.?\d+$/, "must be a number")
  .transform(Number)
  .refine((n) => n > 0 && n <= 1, "must be above 0 and at most 1");
const number = (min: number, hint: string) =>
  z
    .string()
    .regex(/^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i, "must be a number")
    .transform(Number)
    .refine((n) => Number.isFinite(n) && n >= min, hint);
export const positive = number(Number.MIN_VALUE, "must be above 0");
export const notNegative = number(0, "must be at least 0");
export const seconds = z
  .string()
  .regex(/^\d+(\.\d+)?$/, "must be a number of seconds")
  .transform(Number)
  .refine((n) => n <= 86_400, "must be at most 86400");
export const names = text.transform((s) =>
  s
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== ""),
);
export const tenant = z
  .string()
  .regex(
    /^(?!shared$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
    'must have 1 to 64 letters, digits, ".", "_" or "-", and not be "shared"',
  );
export const apiKey = z
  .string()
  .transform((s) => {
    const [, tenant, key] = /^(?:([A-Za-z0-9][A-Za-z0-9._-]{0,63})=)?(.*)$/s.exec(s) ?? [];
    // A base64 key may end in "=". It must not be read as a tenant without a key.
    return key === undefined || key === "" ? { tenant: "default", key: s } : { tenant: tenant ?? "default", key };
  })
  .refine(
    ({ tenant }) => tenant !== "shared",
    'cannot name the tenant "shared", which owns the adapters of all tenants',
  )
  // A header can carry no other characters, so such a key could never be sent.
  .refine(
    ({ key }) => /^[\x21-\x7e]{1,512}$/.test(key),
    "must be [tenant=]key; a key has 1 to 512 visible ASCII characters",
  );

export const origin = z
  .string()
  .toLowerCase()
  .refine(
    (s) => s === "*" || (/^https?:/.test(s) && URL.canParse(s) && new URL(s).origin === s),
    "must be an origin such as https://app.example:8443 without a path, or *",
  );
export const redisUrl = z
  .string()
  .refine(
    (s) => /^rediss?:\/\/[^/]/.test(s) && URL.canParse(s) && /^\/?\d*$/.test(new URL(s).pathname),
    "must be redis://[[user]:password@]host[:port][/database], or rediss:// for TLS",
  );
export const storeUrl = z
  .string()
  .refine(
    (s) =>
      /^(\/|\.\.?(\/|$))/.test(s) ||
      /^s3:\/\/[^/?#]+(\/[^?#]*)?$/.test(s) ||
      /^hf:\/\/[\w.-]+\/[\w.-]+(@[\w./-]+)?$/.test(s) ||
      (/^https?:\/\/[^/?#]/.test(s) && URL.canParse(s)),
    "must be s3://bucket/prefix, a directory that begins with / or ./, hf://owner/name@revision, or the https:// address of a copy of a bucket",
  );
export const adapterSource = z
  .string()
  .refine(
    (s) => /^(hf|s3|https?):\/\/[\w.:-]+[\w./:@~+-]*$/.test(s) && !/^https?:\/\/[^/]*@/.test(s),
    "must be an address such as hf://owner, s3://bucket/path or https://host/path, without a query",
  );
export const hostName = z
  .string()
  .toLowerCase()
  .refine((s) => /^[a-z0-9._:-]{1,253}$/.test(s) && !/:\d+$/.test(s), "must be a host name without a port");

export const optional = <T>(schema: z.ZodType<T>) => schema.nullable().default(null);
export const toggle = z.boolean().default(false);
