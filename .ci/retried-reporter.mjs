/** A vitest reporter: names the tests that passed only when they ran again, so that a retry hides nothing. */
export default class RetriedReporter {
  #retried = [];

  onTestCaseResult(testCase) {
    if (testCase.diagnostic()?.flaky) this.#retried.push(`${testCase.module.relativeModuleId}: ${testCase.fullName}`);
  }

  onTestRunEnd() {
    for (const name of this.#retried) console.log(`passed only when it ran again: ${name}`);
  }
}
