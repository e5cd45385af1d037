/**
 * Writes the generated pages of docs from the tables of flags, metrics and fields, and from the recorded results of
 * benchmarks and clients. `--check` only compares.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { benchmarksPage } from "../load-tests/report/benchmarks-page.ts";
import { publishedRuns } from "../load-tests/report/publish.ts";
import { commandsDocument } from "../src/cli/shared/help.ts";
import { packageRoot } from "../src/cli/shared/package-root.ts";
import { fieldsDocument } from "../src/fields/document.ts";
import { errorsDocument } from "../src/http/reference/errors-document.ts";
import { clientsPage } from "./clients-page.ts";
import { httpDocument } from "../src/http/reference/http-document.ts";
import { metricsDocument } from "../src/metrics/document.ts";

const docs = join(packageRoot(), "docs");
const documents = {
  "benchmarks.md": benchmarksPage(publishedRuns(packageRoot())),
  "reference/clients.md": clientsPage(packageRoot()),
  "reference/commands.md": commandsDocument(),
  "reference/metrics.md": metricsDocument(),
  "reference/fields.md": fieldsDocument(),
  "reference/errors.md": errorsDocument(),
  "reference/http-api.md": httpDocument(),
};

mkdirSync(join(docs, "reference"), { recursive: true });
for (const [name, text] of Object.entries(documents)) {
  const path = join(docs, name);
  if (!process.argv.includes("--check")) writeFileSync(path, text);
  else if (readFileSync(path, "utf8") !== text) {
    process.stderr.write(
      `docs/${name} differs from the tables. Run npm run build && node dist/scripts/make-docs.js.\n`,
    );
    process.exitCode = 1;
  }
}
