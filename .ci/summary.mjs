/**
 * The last lines of .ci/run: the tests that failed, then the counts. They come from vitest's JSON report and
 * the number of failed checks, the test run being one of them.
 * usage: node summary.mjs <report.json> <failed checks>; exits 1 unless something passed and nothing failed.
 */
import { readFileSync } from "node:fs";
import { relative } from "node:path";

const NAMED_A_FILE = 5;

const [reportPath, failedChecks] = process.argv.slice(2);

/** The report's files; none when the run was cut off before it had written one, which the failed check then counts. */
function readFiles() {
  try {
    return JSON.parse(readFileSync(reportPath, "utf8")).testResults;
  } catch (error) {
    console.error(`no report of the tests: ${error.message}`);
    return [];
  }
}

const isFailed = (test) => test.status === "failed";

const files = readFiles();
const statuses = files.flatMap((file) => file.assertionResults.map((test) => test.status));
const count = (...wanted) => statuses.filter((status) => wanted.includes(status)).length;
const failedTests = count("failed");
// A file that does not load has no tests to fail.
const brokenFiles = files.filter((file) => file.status === "failed" && !file.assertionResults.some(isFailed)).length;

const passed = count("passed");
const skipped = count("skipped", "pending", "todo", "disabled");
// Failed tests make the run itself a failed check: it is counted only when no test accounts for it.
const isRunCounted = failedTests + brokenFiles > 0;
const failed = failedTests + brokenFiles + Math.max(0, Number(failedChecks) - (isRunCounted ? 1 : 0));
for (const file of files) {
  for (const test of file.assertionResults.filter(isFailed).slice(0, NAMED_A_FILE)) {
    console.log(`failed: ${relative(process.cwd(), file.name)}: ${test.fullName}`);
  }
}
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
