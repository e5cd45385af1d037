/** Makes the local copies of an owner's aliases as the store has them, in one transaction. */
import type { StoredAlias } from "../aliases/alias-record.ts";
import { aliasesOf, aliasOf } from "../aliases/alias-table.ts";
import type { Tables } from "../database.ts";
import type { Scrubber } from "../scrubber.ts";
import type { Transactions } from "../lmdb/transactions.ts";

interface Parts {
  readonly tables: Pick<Tables, "aliases" | "errorSamples">;
  readonly transactions: Transactions;
  readonly scrubber: Scrubber;
}

/** An alias that only this server has stays, and hides the store's alias of its name. */
export async function mirrorAliases(
  { tables, transactions, scrubber }: Parts,
  tenant: string,
  wanted: ReadonlyMap<string, StoredAlias>,
): Promise<void> {
  const isGone = await transactions.commit(() => {
    const gone = aliasesOf(tables, tenant).filter(({ name, isPublished }) => isPublished === true && !wanted.has(name));
    for (const { name } of gone) {
      void tables.aliases.remove([tenant, name]);
      void tables.errorSamples.remove([tenant, name]);
    }
    if (gone.length > 0) scrubber.mark();
    for (const [name, alias] of wanted) {
      const here = aliasOf(tables, tenant, name);
      if (!here || here.isPublished === true) void tables.aliases.put([tenant, name], { ...alias, isPublished: true });
    }
    return gone.length > 0;
  });
  if (isGone) scrubber.schedule();
}
